"""N-step returns: from one step to the whole episode (Monte-Carlo)."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class NStepReturns:
    """What followed B transitions, summed over up to n steps.

    The target of transition b is ``reward[b] + discount[b] * V(bootstrap_row[b])``.

    Attributes:
      reward: Discounted sum of the rewards, float32 [B].
      discount: gamma^m times the product of the m environment discounts, float32 [B];
        0 after a terminal ending, so nothing is bootstrapped there, and positive
        after a time-out, which only the clock ended.
      bootstrap_row: Row of the observation m steps later, int64 [B]; the final
        observation at most.
    """

    reward: np.ndarray
    discount: np.ndarray
    bootstrap_row: np.ndarray


def n_step_returns(
    reward: np.ndarray,
    discount: np.ndarray,
    rows: np.ndarray,
    last_rows: np.ndarray,
    *,
    n: int | None,
    gamma: float,
) -> NStepReturns:
    """Returns the n-step returns of some rows of a table of steps.

    Args:
      reward: Reward that followed each step's action, [num_steps].
      discount: Environment discount that followed it, [num_steps]: 0 where the
        episode ended for good.
      rows: The transitions asked for, int [B]; never the last row of an episode.
      last_rows: Row of the final observation of each one's episode, int [B].
      n: Steps to sum over, at least 1; None for the rest of the episode, which makes
        these Monte-Carlo returns.
      gamma: Discount per step, in (0, 1].

    Raises:
      ValueError: `n` or `gamma` out of range, or a row that is not a transition.
    """
    if n is not None and n < 1:
        raise ValueError(f"n must be at least 1 or None for the whole episode, not {n}")
    if not 0 < gamma <= 1:
        raise ValueError(f"gamma must be in (0, 1], not {gamma}")
    remaining = last_rows - rows
    if np.any(remaining < 1):
        raise ValueError(
            f"row {rows[remaining < 1][0]} is the final step of its episode: nothing "
            "follows it"
        )
    taken = remaining if n is None else np.minimum(remaining, n)
    offsets = np.arange(taken.max(initial=1))
    inside = offsets < taken[:, None]
    window = np.where(inside, rows[:, None] + offsets, rows[:, None])
    step_discount = np.where(inside, gamma * discount[window].astype(np.float64), 1.0)
    before = np.cumprod(step_discount, axis=1)
    before = np.concatenate([np.ones((len(rows), 1)), before], axis=1)
    summed = np.sum(np.where(inside, reward[window], 0.0) * before[:, :-1], axis=1)
    return NStepReturns(
        summed.astype(np.float32), before[:, -1].astype(np.float32), rows + taken
    )


def targets_name(n: int | None) -> str:
    """Returns what to call these targets: 'td', 'n-step' or 'monte-carlo'.

    Monte-Carlo targets evaluate the collector and improve on it once; they are never
    reported as TD or Q-learning.
    """
    if n is None:
        return "monte-carlo"
    return "td" if n == 1 else "n-step"
