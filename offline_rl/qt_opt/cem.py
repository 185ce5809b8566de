"""The cross-entropy method over actions: QT-Opt's maximiser (sec. 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

# Keeps either choice of the binary entry alive however one-sided the elites are.
_PROBABILITY_FLOOR = 0.1
_LEAST_DEVIATION = 0.02

# Cuts actions [B, K, A] to safe ones and says which remain allowed, bool [B, K].
Constraint = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class CemSettings(NamedTuple):
    """How hard to search.

    Attributes:
      samples: Actions tried per iteration (64: the article).
      elites: Best of them that the next iteration is fitted to (6: the article's 10 %).
      iterations: Rounds (2: the article; 3 for acting, where nothing is batched).
      binary: The last entry is a choice: sampled as -1 or +1 by its probability.
    """

    samples: int = 64
    elites: int = 6
    iterations: int = 2
    binary: bool = True


class CemResult(NamedTuple):
    """The best action seen, [B, A], and its score, [B]."""

    action: tf.Tensor
    score: tf.Tensor


def maximise(
    score: Callable[[tf.Tensor], tf.Tensor],
    batch_size: tf.Tensor,
    action_size: int,
    settings: CemSettings,
    seed: tf.Tensor,
    constrain: Constraint | None = None,
) -> CemResult:
    """Searches actions in [-1, 1] for the highest score, B searches at once.

    The first iteration samples uniformly, so that no mode is missed for a bad guess;
    the next ones from a normal distribution fitted to the elites.

    Args:
      score: Scores actions [B, K, A] as [B, K].
      batch_size: B.
      action_size: A.
      settings: How hard to search.
      seed: int32 [2]; the same seed gives the same actions.
      constrain: Cuts unsafe actions to safe ones, and rejects what cannot be cut; a
        rejected action is returned only if all were rejected.

    Returns:
      The best action of all iterations.
    """
    shape = [batch_size, settings.samples, action_size]
    actions = tf.random.stateless_uniform(shape, seed, -1.0, 1.0)
    if settings.binary:
        actions = _with_choice(actions, tf.where(actions[..., -1:] > 0, 1.0, -1.0))
    best, elites = _round(score, actions, settings.elites, constrain)
    for iteration in range(1, settings.iterations):
        next_seed = tf.random.fold_in(seed, iteration)
        actions = _refit(elites, shape, settings.binary, next_seed)
        found, elites = _round(score, actions, settings.elites, constrain)
        best = _better(best, found)
    return best


def _round(
    score: Callable[[tf.Tensor], tf.Tensor],
    actions: tf.Tensor,
    num_elites: int,
    constrain: Constraint | None,
) -> tuple[CemResult, tf.Tensor]:
    actions, scores = _scored(score, actions, constrain)
    top = tf.math.top_k(scores, num_elites)
    elites = tf.gather(actions, top.indices, batch_dims=1)
    return CemResult(elites[:, 0], top.values[:, 0]), elites


def _scored(
    score: Callable[[tf.Tensor], tf.Tensor],
    actions: tf.Tensor,
    constrain: Constraint | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    if constrain is None:
        return actions, score(actions)
    actions, allowed = constrain(actions)
    scores = score(actions)
    return actions, tf.where(allowed, scores, scores.dtype.min)


def _refit(
    elites: tf.Tensor, shape: list[Any], binary: bool, seed: tf.Tensor
) -> tf.Tensor:
    mean, variance = tf.nn.moments(elites, axes=[1], keepdims=True)
    deviation = tf.maximum(tf.sqrt(variance), _LEAST_DEVIATION)
    noise = tf.random.stateless_normal(shape, seed)
    actions = tf.clip_by_value(mean + deviation * noise, -1.0, 1.0)
    if not binary:
        return actions
    chosen = tf.reduce_mean(tf.cast(elites[..., -1:] > 0, tf.float32), 1, keepdims=True)
    chance = tf.clip_by_value(chosen, _PROBABILITY_FLOOR, 1 - _PROBABILITY_FLOOR)
    drawn = tf.random.stateless_uniform([*shape[:2], 1], tf.random.fold_in(seed, 0))
    return _with_choice(actions, tf.where(drawn < chance, 1.0, -1.0))


def _with_choice(actions: tf.Tensor, choice: tf.Tensor) -> tf.Tensor:
    return tf.concat([actions[..., :-1], choice], axis=-1)


def _better(first: CemResult, second: CemResult) -> CemResult:
    keep = first.score >= second.score
    return CemResult(
        tf.where(keep[:, None], first.action, second.action),
        tf.where(keep, first.score, second.score),
    )
