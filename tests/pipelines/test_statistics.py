"""Merged statistics are those of all values together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.pipelines.statistics import (
    FeatureSummary,
    Moments,
    SummaryMerger,
    merge,
    pack,
    summarise,
    summarised_features,
    unpack,
)
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode

NAMES = [feature.name for feature in summarised_features(TINY_SPEC)]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 99)
)
def test_parts_merge_to_the_whole(sizes, seed):
    rng = np.random.default_rng(seed)
    widths = {"x": 2, "y": 3}
    parts = [
        {name: rng.normal(5, 3, (size, width)) for name, width in widths.items()}
        for size in sizes
    ]
    merged = merge(
        {name: FeatureSummary(Moments.of(v), ()) for name, v in part.items()}
        for part in parts
    )
    for name in widths:
        whole = np.concatenate([part[name] for part in parts])
        moments = merged[name].moments
        assert moments.count == len(whole)
        np.testing.assert_allclose(moments.mean, whole.mean(axis=0))
        std = merged[name].to_dict()["std"]
        np.testing.assert_allclose(std, whole.std(axis=0), atol=1e-9)
        np.testing.assert_array_equal(moments.minimum, whole.min(axis=0))
        np.testing.assert_array_equal(moments.maximum, whole.max(axis=0))


def test_merging_all_features_at_once_is_merging_them_one_by_one():
    summaries = [
        summarise(tiny_episode(n, transitions=n), TINY_SPEC) for n in (2, 3, 5)
    ]
    merged = merge(summaries)
    for name in NAMES:
        first, second, third = (summary[name].moments for summary in summaries)
        alone = first.merge(second).merge(third)
        assert merged[name].moments.count == alone.count
        for part in ("mean", "squares", "minimum", "maximum"):
            ours, theirs = getattr(merged[name].moments, part), getattr(alone, part)
            assert ours.tobytes() == theirs.tobytes()


def test_the_last_step_counts_for_observations_only():
    summary = summarise(tiny_episode(transitions=3), TINY_SPEC)
    assert summary["observation/height"].moments.count == 4
    assert summary["action"].moments.count == summary["reward"].moments.count == 3
    assert summary["observation/image"].moments.count == 8 * 6


def test_a_summary_comes_back_from_its_bytes():
    packed = pack(summarise(tiny_episode(), TINY_SPEC))
    assert pack(unpack(packed, NAMES)) == packed
    with pytest.raises(ValueError, match="cut off"):
        unpack(packed[:-1], NAMES)


def test_summaries_of_other_features_are_refused():
    merger = SummaryMerger()
    merger.add(summarise(tiny_episode(), TINY_SPEC))
    other = {"x": FeatureSummary(Moments.of(np.zeros((1, 1))), ())}
    with pytest.raises(ValueError, match="a summary of"):
        merger.add(other)


def test_nothing_added_is_nothing():
    assert SummaryMerger().summary == {}
