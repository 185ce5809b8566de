"""Summaries come back from their bytes, and other bytes are refused."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.pipelines.summary import entries_of, summarise, summarised_features
from thresher.pipelines.summary_bytes import pack, unpack
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode

WIDTHS = [entries_of(feature) for feature in summarised_features(TINY_SPEC)]


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
    if (place, value) == (0, 1 << 62):
        assert unpack(bytes(packed), WIDTHS).counts[0] == value
        return
    with pytest.raises(ValueError, match="other features|cut off"):
        unpack(bytes(packed), WIDTHS)
