"""What a learner makes of episodes that it never trains on."""

from __future__ import annotations

from typing import Any

import numpy as np

from thresher.offline_rl.learner import Learner
from thresher.offline_rl.ranking import roc_auc
from thresher.offline_rl.transitions.cache import TransitionCache
from thresher.offline_rl.transitions.dataset import read_transitions

# Enough for ±0.02 of AUC, few enough to take a second or two.
MOST_EPISODES = 1024
_BATCH = 128


def held_out_metrics(
    learner: Learner, cache: TransitionCache, *, seed: int
) -> dict[str, float]:
    """Returns the loss, and how Q ranks the last actions of episodes.

    The loss is the mean over one transition each of up to `MOST_EPISODES` episodes.
    The ranking is the area under the ROC curve of Q(last observation, last action)
    against success, over those that ended for good, so by closing the gripper: it
    says whether Q knows a good grasp from a bad one on objects it never saw. Of
    episodes that all ended alike there is none.

    Args:
      learner: Judged as it acts, with averaged weights.
      cache: A split that it does not train on.
      seed: Chooses the episodes and transitions, the same at each call.
    """
    rng = np.random.default_rng([seed, 0])
    count = min(cache.num_episodes, MOST_EPISODES)
    episodes = np.sort(rng.choice(cache.num_episodes, count, replace=False))
    first, last = cache.episode_starts[episodes], cache.last_rows[episodes]
    ended = (cache.discount[last - 1] == 0) & (cache.success[episodes] >= 0)
    values = _values(learner, cache, last[ended] - 1)
    metrics = {
        "held_out/loss": _loss(learner, cache, rng.integers(first, last)),
        "held_out/auc": roc_auc(values, cache.success[episodes[ended]] == 1),
    }
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


def _loss(learner: Learner, cache: TransitionCache, rows: np.ndarray) -> float:
    total = 0.0
    for part in _parts(rows):
        batch: Any = read_transitions(
            cache, part, n=learner.n_step, gamma=learner.discount
        )
        total += float(learner.evaluate_on(batch)["loss"]) * len(part)
    return total / len(rows)


def _values(learner: Learner, cache: TransitionCache, rows: np.ndarray) -> np.ndarray:
    values = [np.zeros(0, np.float32)]
    for part in _parts(rows):
        observation = {name: a[part] for name, a in cache.observation.items()}
        values.append(learner.value(observation, cache.action[part]))
    return np.concatenate(values)


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
