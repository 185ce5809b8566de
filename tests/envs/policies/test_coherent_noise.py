"""Noise of unit variance, as alike from step to step as was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.envs.policies.coherent_noise import CoherentNoise
from thresher.episodes.errors import UserError


@settings(max_examples=20, deadline=None)
@given(correlation=st.floats(0, 0.95), seed=st.integers(0, 100))
def test_variance_is_one_and_neighbours_are_correlated(correlation, seed):
    rng = np.random.default_rng(seed)
    noise = CoherentNoise((2000,), correlation)
    values = np.array([noise.draw(rng) for _ in range(6)])
    np.testing.assert_allclose(values.std(axis=1), 1.0, atol=0.12)
    measured = [np.corrcoef(a, b)[0, 1] for a, b in zip(values, values[1:])]
    np.testing.assert_allclose(measured, correlation, atol=0.12)


def test_without_correlation_it_is_the_generators_own_noise():
    noise = CoherentNoise((3,), 0.0)
    ours, plain = np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(3):
        np.testing.assert_array_equal(noise.draw(ours), plain.normal(size=3))


def test_an_episode_does_not_know_the_one_before():
    noise = CoherentNoise((3,), 0.9)
    first = noise.draw(np.random.default_rng(1))
    noise.draw(np.random.default_rng(2))
    noise.reset()
    np.testing.assert_array_equal(noise.draw(np.random.default_rng(1)), first)


@pytest.mark.parametrize("correlation", [-0.1, 1.0, float("nan")])
def test_what_is_no_correlation_is_refused(correlation):
    with pytest.raises(UserError, match="not between 0 and 1"):
        CoherentNoise((1,), correlation)
