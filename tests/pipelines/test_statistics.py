"""Merged statistics are those of all values together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.pipelines import statistics
from thresher.pipelines.statistics import SummaryMerger, merge, statistics_of
from thresher.pipelines.summary import (
    MAX_KEPT_VALUES,
    FeatureSummary,
    join_features,
    moments_of,
    summarise,
    summarised_features,
)
from thresher.pipelines.summary_bytes import pack, unpack
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode

NAMES = [feature.name for feature in summarised_features(TINY_SPEC)]


def summary_of(blocks):
    return join_features([FeatureSummary.of(len(b), moments_of(b), b) for b in blocks])


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 2 * MAX_KEPT_VALUES), min_size=1, max_size=6),
    widths=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    seed=st.integers(0, 99),
    pending=st.tuples(st.integers(1, 4), st.sampled_from([1, 200, 8 << 20])),
)
def test_parts_merge_to_the_whole(sizes, widths, seed, pending):
    rng = np.random.default_rng(seed)
    parts = [
        [rng.normal(5, 3, (size, width)).astype(np.float32) for width in widths]
        for size in sizes
    ]
    names = [str(number) for number in range(len(widths))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "_PENDING_SUMMARIES", pending[0])
        patch.setattr(statistics, "_PENDING_BYTES", pending[1])
        found = statistics_of(merge(summary_of(part) for part in parts), names)
    for name, blocks in zip(names, zip(*parts)):
        whole, said = np.concatenate(blocks).astype(np.float64), found[name]
        assert said["count"] == len(whole)
        np.testing.assert_allclose(said["mean"], whole.mean(axis=0))
        np.testing.assert_allclose(said["std"], whole.std(axis=0), atol=1e-9)
        np.testing.assert_array_equal(said["min"], whole.min(axis=0))
        np.testing.assert_array_equal(said["max"], whole.max(axis=0))
        for column, median in zip(whole.T, said["quantiles"].get("q50", ())):
            assert abs((column <= median).mean() - 0.5) <= 0.05 + 1 / len(whole)


@pytest.mark.parametrize("value", [1.0, -0.5, 123456.0, 2.0**90])
def test_what_is_constant_stays_exactly_that(value):
    block = np.full((7, 2), value)
    parts = [summary_of([block[: 1 + number % 7]]) for number in range(1000)]
    (said,) = statistics_of(merge(parts), ["x"]).values()
    assert said["mean"] == said["min"] == said["max"] == [value] * 2
    assert said["std"] == [0.0, 0.0]


def test_few_bytes_wait_to_be_merged(monkeypatch):
    rng = np.random.default_rng(0)
    merger = SummaryMerger()
    many = rng.normal(size=(3 * MAX_KEPT_VALUES, 8))
    packed = pack(summary_of([many] * 4))
    for _ in range(20):
        merger.add(unpack(packed, [8] * 4))
    counts, moments, values = merger._pending[0]
    for column in (counts, moments, *values):
        # A view would hold all of the summary's bytes.
        assert column.base is None or column.base.base is None


def test_wide_features_have_moments_only():
    wide = summary_of([np.zeros((3, 100), np.float32)])
    (said,) = statistics_of(merge([wide, wide]), ["scan"]).values()
    assert said["count"] == 6 and said["quantiles"] == {}


def test_values_of_many_summaries_are_all_sketched():
    rows = np.arange(1000, dtype=np.float32).reshape(-1, 1)
    merged = merge(summary_of([row.reshape(1, 1)]) for row in rows)
    quantiles = statistics_of(merged, ["x"])["x"]["quantiles"]
    assert merged.sketches[0][0].get_total_weight() == 1000
    assert abs(quantiles["q10"][0] - 100) < 10 and abs(quantiles["q90"][0] - 900) < 10


def test_counts_of_large_data_sets_do_not_wrap():
    pixels = 640 * 480 * 10_000
    zeros = summary_of([np.zeros((1, 1), np.float32)])
    ones = summary_of([np.ones((1, 1), np.float32)])
    parts = [
        dataclasses.replace(one, counts=np.array([pixels]))
        for one in (zeros, ones) * 100
    ]
    said = statistics_of(merge(parts), ["x"])["x"]
    assert said["count"] == 200 * pixels
    assert abs(said["std"][0] - 0.5) < 1e-12


def test_values_that_are_all_nan_have_no_quantiles():
    nothing = summary_of([np.full((3, 1), np.nan, np.float32)])
    assert statistics_of(merge([nothing]), ["x"])["x"]["quantiles"] == {}


def test_the_last_step_counts_for_observations_only():
    summary = summarise(tiny_episode(transitions=3), TINY_SPEC)
    counts = dict(zip(NAMES, summary.counts.tolist()))
    assert counts["observation/height"] == 4
    assert counts["action"] == counts["reward"] == 3
    assert counts["observation/image"] == 8 * 6


def test_summaries_of_other_features_are_refused():
    merger = SummaryMerger()
    merger.add(summarise(tiny_episode(), TINY_SPEC))
    with pytest.raises(ValueError, match="a summary of"):
        merger.add(summary_of([np.zeros((1, 1))]))


def test_nothing_added_is_nothing():
    assert statistics_of(SummaryMerger().summary, []) == {}
