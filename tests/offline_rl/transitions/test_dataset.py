"""Batches as TF-Agents transitions."""

from __future__ import annotations

import time

import numpy as np
import pytest
from tf_agents.trajectories import StepType

from thresher.offline_rl.transitions.dataset import (
    read_transitions,
    transition_dataset,
)
from thresher.offline_rl.transitions.sampler import TransitionSampler
from thresher.tests.offline_rl.toy_reaching import toy_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return toy_cache(tmp_path_factory.mktemp("cache") / "toy", 60)


def _of_length(cache, length):
    lengths = np.diff(cache.episode_starts)
    return cache.episode_starts[np.flatnonzero(lengths == length)[0]]


def test_a_one_step_transition_is_two_neighbours(cache):
    first = _of_length(cache, 4)
    batch = read_transitions(cache, np.array([first, first + 1]), n=1, gamma=0.9)
    images = cache.observation["image"]
    np.testing.assert_array_equal(
        batch.time_step.observation["image"], images[first : first + 2]
    )
    np.testing.assert_array_equal(
        batch.next_time_step.observation["image"], images[first + 1 : first + 3]
    )
    np.testing.assert_array_equal(
        batch.action_step.action, cache.action[first : first + 2]
    )
    assert batch.time_step.step_type.tolist() == [StepType.FIRST, StepType.MID]
    assert batch.next_time_step.step_type.tolist() == [StepType.MID, StepType.MID]
    # TF-Agents multiplies by gamma once more.
    assert batch.next_time_step.discount.tolist() == [1.0, 1.0]


def test_a_whole_episode_transition_ends_at_the_final_observation(cache):
    first = _of_length(cache, 4)
    batch = read_transitions(cache, np.array([first]), n=None, gamma=0.9)
    last = batch.next_time_step
    assert last.step_type.tolist() == [StepType.LAST]
    np.testing.assert_array_equal(
        last.observation["episode_fraction"], np.array([[1.0]], np.float32)
    )
    ended_by_clock = cache.discount[first + 2]
    np.testing.assert_allclose(last.discount, [0.81 * ended_by_clock], rtol=1e-6)


def test_batches_come_from_the_samplers_position_on(cache):
    sampler = TransitionSampler(cache, batch_size=4, seed=5, sampling="uniform")
    sampler.restore({"seed": 5, "next_batch": 7})
    batches = list(transition_dataset(cache, sampler, num_batches=3, n=1, gamma=0.9))
    assert len(batches) == 3
    assert sampler.position == 7
    expected = cache.action[sampler.batch(8)]
    np.testing.assert_array_equal(batches[1].action_step.action, expected)
    assert batches[0].time_step.observation["image"].shape == (4, 16, 16, 3)


def test_loading_is_no_bottleneck(cache):
    sampler = TransitionSampler(cache, batch_size=64, seed=0, sampling="stratified")
    batches = iter(transition_dataset(cache, sampler, num_batches=210, n=1, gamma=0.9))
    for _ in range(10):
        next(batches)
    began = time.perf_counter()
    for _ in range(200):
        next(batches)
    # A training step takes 50 to 150 ms; a tenth of that leaves room for any machine.
    assert (time.perf_counter() - began) / 200 < 0.01
