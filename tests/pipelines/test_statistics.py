"""Merged statistics are those of all values together."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.pipelines.statistics import Moments, episode_moments, merge_moments
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 99)
)
def test_parts_merge_to_the_whole(sizes, seed):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(5, 3, (size, 2)) for size in sizes]
    merged = merge_moments([{"x": Moments.of(part)} for part in parts])["x"]
    whole = np.concatenate(parts)
    assert merged.count == len(whole)
    np.testing.assert_allclose(merged.mean, whole.mean(axis=0))
    np.testing.assert_allclose(merged.to_dict()["std"], whole.std(axis=0), atol=1e-9)
    np.testing.assert_array_equal(merged.minimum, whole.min(axis=0))
    np.testing.assert_array_equal(merged.maximum, whole.max(axis=0))


def test_the_last_step_counts_for_observations_only():
    moments = episode_moments(tiny_episode(transitions=3), TINY_SPEC)
    assert moments["observation/height"].count == 4
    assert moments["action"].count == moments["reward"].count == 3
    assert moments["observation/image"].count == 8 * 6
