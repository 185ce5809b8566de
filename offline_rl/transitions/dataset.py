"""Batches of TF-Agents transitions from a cache, prefetched while a step trains."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import Transition, policy_step, time_step

from thresher.offline_rl.transitions.cache import TransitionCache
from thresher.offline_rl.transitions.nstep import n_step_returns
from thresher.offline_rl.transitions.sampler import TransitionSampler

# Enough to hide a slow page of the cache, few enough to cost no memory.
PREFETCHED_BATCHES = 4


def read_transitions(
    cache: TransitionCache, rows: np.ndarray, *, n: int | None, gamma: float
) -> Transition:
    """Reads B transitions as NumPy arrays.

    By TF-Agents' convention for n-step transitions the agent multiplies the next
    time step's discount by gamma once more, so it is gamma^(m-1) times the product of
    the environment's discounts; `next_time_step.reward` is the n-step sum.

    Args:
      cache: Where from.
      rows: Rows that hold an action, int64 [B].
      n: Steps to sum over; None for the whole rest of the episode (Monte-Carlo).
      gamma: Discount per step, in (0, 1].

    Returns:
      A Transition of [B, …] arrays; `next_time_step` is the bootstrap observation.
    """
    episode = cache.episode_of(rows)
    last_rows = cache.last_rows[episode]
    returns = n_step_returns(
        cache.reward, cache.discount, rows, last_rows, n=n, gamma=gamma
    )
    first = rows == cache.episode_starts[episode]
    ended = returns.bootstrap_row == last_rows
    count = len(rows)
    step = time_step.TimeStep(
        np.where(first, time_step.StepType.FIRST, time_step.StepType.MID).astype("i4"),
        np.zeros(count, np.float32),
        np.ones(count, np.float32),
        _observation(cache, rows),
    )
    next_step = time_step.TimeStep(
        np.where(ended, time_step.StepType.LAST, time_step.StepType.MID).astype("i4"),
        returns.reward,
        (returns.discount / gamma).astype(np.float32),
        _observation(cache, returns.bootstrap_row),
    )
    action = policy_step.PolicyStep(np.asarray(cache.action[rows]), (), ())
    return Transition(step, action, next_step)


def transition_dataset(
    cache: TransitionCache,
    sampler: TransitionSampler,
    *,
    num_batches: int,
    n: int | None,
    gamma: float,
) -> tf.data.Dataset:
    """Returns a dataset of the sampler's batches from its position on.

    Reading ahead does not move the sampler: call `advance` for each batch used.
    """
    first_batch = sampler.position
    example = read_transitions(cache, sampler.batch(first_batch), n=n, gamma=gamma)
    flat = tf.nest.flatten(example)

    def read(number: np.ndarray) -> list[np.ndarray]:
        rows = sampler.batch(int(number))
        return tf.nest.flatten(read_transitions(cache, rows, n=n, gamma=gamma))

    def tensors(number: tf.Tensor) -> Transition:
        read_flat = tf.numpy_function(read, [number], [part.dtype for part in flat])
        for tensor, part in zip(read_flat, flat):
            tensor.set_shape(part.shape)
        return tf.nest.pack_sequence_as(example, read_flat)

    numbers = tf.data.Dataset.range(first_batch, first_batch + num_batches)
    return numbers.map(tensors).prefetch(PREFETCHED_BATCHES)


def _observation(cache: TransitionCache, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: array[rows] for name, array in cache.observation.items()}
