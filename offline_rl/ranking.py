"""How well scores rank successes above failures."""

from __future__ import annotations

import numpy as np


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Returns the probability that a positive scores above a negative.

    Ties count one half (Hanley and McNeil 1982): 0.5 is chance, 1 a perfect ranking.

    Args:
      scores: [N].
      positive: bool [N].

    Returns:
      The area under the ROC curve, in [0, 1]; NaN where one class is missing.
    """
    scores, positive = np.asarray(scores), np.asarray(positive, dtype=bool)
    if scores.shape != positive.shape or scores.ndim != 1:
        raise ValueError(f"scores {scores.shape} and labels {positive.shape} differ")
    high = int(positive.sum())
    low = len(positive) - high
    if not high or not low:
        return float("nan")
    ranks = _mean_ranks(scores)
    return float((ranks[positive].sum() - high * (high + 1) / 2) / (high * low))


def _mean_ranks(scores: np.ndarray) -> np.ndarray:
    _, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[group]
