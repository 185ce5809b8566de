"""Summaries come back from their bytes, and other bytes are refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.pipelines.statistics import merge, statistics_of
from thresher.pipelines.summary import (
    summarise,
    summarised_features,
    summarised_widths,
)
from thresher.pipelines.summary_bytes import pack, unpack
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode

NAMES = [feature.name for feature in summarised_features(TINY_SPEC)]
WIDTHS = summarised_widths(TINY_SPEC)


@pytest.mark.parametrize("transitions", [1, 5, 100])
def test_a_summary_comes_back_from_its_bytes(transitions):
    summary = summarise(tiny_episode(transitions=transitions), TINY_SPEC)
    packed = pack(summary)
    back = unpack(packed, WIDTHS)
    assert pack(back) == packed
    np.testing.assert_array_equal(back.moments, summary.moments)
    assert bool(any(map(len, back.sketches))) == (transitions == 100)


def test_counts_may_exceed_thirty_two_bits():
    summary = summarise(tiny_episode(), TINY_SPEC)
    summary.counts[0] = 1 << 40
    assert unpack(pack(summary), WIDTHS).counts[0] == 1 << 40
    summary.counts[0] = 1 << 51
    with pytest.raises(ValueError, match="than there can be"):
        unpack(pack(summary), WIDTHS)


@pytest.mark.parametrize("length", range(0, 300, 7))
def test_what_is_cut_off_is_refused(length):
    packed = pack(summarise(tiny_episode(), TINY_SPEC))
    with pytest.raises(ValueError, match="cut off"):
        unpack(packed[:length], WIDTHS)


@pytest.mark.parametrize("widths", [[], WIDTHS[:-1], [*WIDTHS, 1], [9] * len(WIDTHS)])
def test_other_features_are_refused(widths):
    packed = pack(summarise(tiny_episode(), TINY_SPEC))
    with pytest.raises(ValueError, match="other features|cut off"):
        unpack(packed, widths)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("value", [0, 1 << 62, (1 << 64) - 1])
def test_absurd_numbers_are_refused(place, value):
    packed = bytearray(pack(summarise(tiny_episode(), TINY_SPEC)))
    number = 8 * place * len(WIDTHS)
    packed[number : number + 8] = value.to_bytes(8, "little")
    with pytest.raises(ValueError, match="other features|cut off|than there can be"):
        unpack(bytes(packed), WIDTHS)


def test_narrow_features_have_values_or_sketches():
    summary = summarise(tiny_episode(), TINY_SPEC)
    empty = [np.zeros((0, width), np.float32) for width in WIDTHS]
    for values in (empty, [empty[0], *summary.values[1:]]):
        packed = pack(dataclasses.replace(summary, values=tuple(values)))
        with pytest.raises(ValueError, match="quantiles"):
            unpack(packed, WIDTHS)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_any_byte_may_be_wrong(place, value):
    packed = bytearray(pack(summarise(tiny_episode(transitions=100), TINY_SPEC)))
    packed[place % len(packed)] = value
    try:
        found = unpack(bytes(packed), WIDTHS)
    except ValueError:
        return
    with np.errstate(all="ignore"):
        merged = merge([found, summarise(tiny_episode(), TINY_SPEC)])
        statistics_of(merged, NAMES)
