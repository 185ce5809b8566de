"""Held-out metrics see what a learner knows and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.offline_rl.held_out import held_out_metrics
from thresher.tests.offline_rl.toy_reaching import toy_cache


class KnowsTheAnswer:
    """Scores an action by the reward that it got: a perfect ranking."""

    n_step, discount = 1, 0.9

    def __init__(self, cache, sign):
        images = cache.observation["episode_fraction"], cache.action
        keys = [self._key(*row) for row in zip(*images)]
        self._reward = dict(zip(keys, cache.reward))
        self._sign = sign

    def value(self, observation, action):
        rows = zip(observation["episode_fraction"], action)
        return np.array([self._sign * self._reward[self._key(*row)] for row in rows])

    def evaluate_on(self, batch):
        return {"loss": float(np.mean(batch.next_time_step.reward))}

    def _key(self, fraction, action):
        return (fraction.tobytes(), action.tobytes())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return toy_cache(tmp_path_factory.mktemp("cache") / "toy", 200)


@pytest.mark.parametrize(("sign", "area"), [(1.0, 1.0), (-1.0, 0.0), (0.0, 0.5)])
def test_the_area_says_how_well_last_actions_are_ranked(cache, sign, area):
    metrics = held_out_metrics(KnowsTheAnswer(cache, sign), cache, seed=0)
    assert metrics["held_out/auc"] == area


def test_the_same_seed_judges_by_the_same_transitions(cache):
    learner = KnowsTheAnswer(cache, 1.0)
    first, second, other = (held_out_metrics(learner, cache, seed=s) for s in (1, 1, 2))
    assert first == second
    assert first["held_out/loss"] != other["held_out/loss"]
