"""Noise on top of any policy: bounded, seeded, on record."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.envs.registry import make_policy
from thresher.envs.rollout import rollout
from thresher.episodes.errors import UserError
from thresher.tests.pipelines.unruly_world import UnrulyWorld


class Still:
    """Does nothing."""

    policy_id, policy_version, kind, noise = "still", "1", "scripted", {"own": 1.0}

    def reset(self, world, rng):
        pass

    def act(self, observation):
        return np.zeros(2, np.float32)


def test_noise_is_recorded_and_stays_in_bounds():
    world = UnrulyWorld()
    policy = make_policy("random", world, noise=0.5, noise_correlation=0.8)
    episode = rollout(world, policy, 1, 2)
    assert episode.metadata.behaviour.noise == {
        "exploration": 0.5,
        "exploration_correlation": 0.8,
    }
    assert np.abs(episode.array("action")).max() <= 1
    assert rollout(world, policy, 1, 2).episode_id == episode.episode_id


def test_its_deviation_is_what_was_asked_for():
    from thresher.envs.policies.exploring import ExploringPolicy

    world = UnrulyWorld()
    policy = ExploringPolicy(Still(), world, 0.1, 0.5)
    assert policy.noise["own"] == 1.0
    acts = []
    for seed in range(300):
        policy.reset(world, np.random.default_rng(seed))
        acts += [policy.act({}) for _ in range(5)]
    assert np.std(acts) == pytest.approx(0.1, rel=0.1)


def test_negative_noise_is_refused():
    with pytest.raises(UserError, match=r"exploration noise -0.5 is not 0 or more"):
        make_policy("random", UnrulyWorld(), noise=-0.5)
