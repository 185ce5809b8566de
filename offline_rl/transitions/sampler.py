"""Seeded, resumable sampling of transitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

import numpy as np

from thresher.episodes.errors import UserError, unknown_name
from thresher.offline_rl.transitions.cache import TransitionCache

SAMPLINGS = ("stratified", "uniform", "weighted")


class TransitionSampler:
    """Draws batches of rows that hold an action.

    Batch k is a function of the seed and k alone, so the state is two small numbers,
    and a run that goes on from a checkpoint sees exactly the batches it would have
    seen.

    'stratified' takes half of each batch from successful episodes and half from
    failed ones, uniformly over the transitions of each: a Q-function learns a ranking
    only from both. Episodes of unknown outcome are left out. 'uniform' takes all.
    'weighted' takes episodes as often as the version's sampling weights say, which is
    how a version that was rebalanced by weights is meant to be sampled.
    The final step of an episode, whose action means nothing, is never drawn.
    """

    def __init__(
        self, cache: TransitionCache, *, batch_size: int, seed: int, sampling: str
    ) -> None:
        """Prepares the strata.

        Raises:
          UserError: An unknown sampling, a batch size below 1, or, for stratified
            sampling, no known outcome, or no episode of one class.
        """
        if sampling not in SAMPLINGS:
            raise unknown_name("sampling", sampling, SAMPLINGS)
        if batch_size < 1:
            raise UserError(f"batch size must be at least 1, not {batch_size}")
        self._batch_size, self._seed, self._position = batch_size, seed, 0
        self._strata = _strata(cache, sampling)
        self._chances = _chances(cache, self._strata, sampling)

    def batch(self, number: int) -> np.ndarray:
        """Returns the rows of a batch, int64 [batch_size], without moving on."""
        rng = np.random.default_rng([self._seed, number])
        parts = len(self._strata)
        # An odd batch gives its extra row to each stratum in turn.
        sizes = [
            (self._batch_size + (number + part) % parts) // parts
            for part in range(parts)
        ]
        return np.concatenate(
            [
                rows[_draw(rng, len(rows), size, chances)]
                for rows, size, chances in zip(self._strata, sizes, self._chances)
            ]
        )

    @property
    def position(self) -> int:
        """Number of the next batch; also how many were used."""
        return self._position

    def advance(self) -> None:
        """Counts a batch as used. Batches read ahead are not, until they are used."""
        self._position += 1

    def state(self) -> dict[str, int]:
        """Returns what `restore` needs, as plain JSON values."""
        return {"seed": self._seed, "next_batch": self._position}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where the sampler that returned `state` was.

        Raises:
          ValueError: The state is of another seed.
        """
        if state["seed"] != self._seed:
            raise ValueError(
                f"sampler state of seed {state['seed']} for seed {self._seed}"
            )
        self._position = int(state["next_batch"])


def _draw(
    rng: np.random.Generator, count: int, size: int, chances: Optional[np.ndarray]
) -> np.ndarray:
    """Draws with replacement; `chances` are cumulative, of any sum."""
    if chances is None:
        return rng.integers(count, size=size)
    places = np.searchsorted(chances, rng.random(size) * chances[-1], side="right")
    return np.minimum(places, count - 1)


def _chances(
    cache: TransitionCache, strata: list[np.ndarray], sampling: str
) -> list[Optional[np.ndarray]]:
    """Returns cumulative chances of each stratum's rows; None for equal ones.

    An episode's weight is divided among its transitions, so that the ratio of success
    in a batch is the one that the version was weighted for, whatever the lengths.
    """
    if sampling != "weighted":
        return [None] * len(strata)
    each = cache.weight / np.maximum(np.diff(cache.episode_starts) - 1, 1)
    return [np.cumsum(each[cache.episode_of(rows)]) for rows in strata]


def _strata(cache: TransitionCache, sampling: str) -> list[np.ndarray]:
    rows = np.flatnonzero(~cache.is_last)
    if sampling != "stratified":
        return [rows]
    success = cache.success[cache.episode_of(rows)]
    strata = [rows[success == 1], rows[success == 0]]
    _require_both_classes(cache)
    return strata


def _require_both_classes(cache: TransitionCache) -> None:
    counts = {code: int(np.sum(cache.success == code)) for code in (1, 0, -1)}
    if counts[1] and counts[0]:
        return
    if counts[-1] == cache.num_episodes:
        raise UserError(
            f"stratified sampling needs known outcomes and all {counts[-1]} episodes "
            "are of unknown success: label them, or use sampling 'uniform'"
        )
    missing = "successful" if not counts[1] else "failed"
    raise UserError(
        f"stratified sampling needs both outcomes and there is no {missing} episode "
        f"({counts[1]} successes, {counts[0]} failures, {counts[-1]} unknown): add "
        "some, or use sampling 'uniform'"
    )
