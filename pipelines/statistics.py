"""Statistics of features that merge: summaries are added up, shard by shard.

Every episode's summary is kept beside it, so a derived version's statistics are merged
from its parents' and nothing is decoded. Moments merge exactly (Chan, Golub, LeVeque
1979, eq. 2.1, for more than two at once), quantiles by t-digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from thresher.pipelines.summary import Summary, new_sketches, update_sketches

QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
_MERGED_COMPRESSION = 200
# Summaries wait until there are enough to be worth adding up.
_PENDING_SUMMARIES = 256
_PENDING_BYTES = 8 << 20


class SummaryMerger:
    """Adds summaries of the same features up, in the order in which they come."""

    def __init__(self) -> None:
        self._counts = self._widths = np.zeros(0, np.int64)
        self._moments = np.zeros((4, 0))
        self._sketches: tuple[tuple[Any, ...], ...] = ()
        # Counts, moments and values of those that are not added yet.
        self._pending: list[tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]] = []
        self._pending_bytes = 0

    def add(self, summary: Summary) -> None:
        """Adds one.

        Raises:
          ValueError: It is of other features than the ones before.
        """
        if not self._sketches:
            self._start(summary)
        elif not np.array_equal(summary.widths, self._widths):
            raise ValueError(
                f"a summary of features as wide as {summary.widths.tolist()}, "
                f"not {self._widths.tolist()}"
            )
        for mine, others in zip(self._sketches, summary.sketches):
            for sketch, other in zip(mine, others):
                sketch.merge(other)
        counts, moments, values = summary.counts, summary.moments, summary.values
        if any(summary.sketches):
            # What was unpacked is a view of all of the summary's bytes.
            counts, moments = counts.copy(), moments.copy()
            values = tuple(few.copy() for few in values)
        self._pending.append((counts, moments, values))
        self._pending_bytes += moments.nbytes + sum(few.nbytes for few in values)
        enough = len(self._pending) == _PENDING_SUMMARIES
        if enough or self._pending_bytes > _PENDING_BYTES:
            self._add_pending()

    def _start(self, summary: Summary) -> None:
        self._widths = summary.widths
        self._sketches = tuple(
            new_sketches(width, _MERGED_COMPRESSION)
            for width in summary.widths.tolist()
        )

    def _add_pending(self) -> None:
        if not self._pending:
            return
        counts, moments, values = zip(*self._pending)
        self._pending, self._pending_bytes = [], 0
        if len(self._counts):
            counts, moments = (self._counts, *counts), (self._moments, *moments)
        self._add_moments(np.stack(counts), np.stack(moments, axis=1))
        for sketches, few in zip(self._sketches, zip(*values)):
            if sketches:
                update_sketches(sketches, np.concatenate(few))

    def _add_moments(self, counts: np.ndarray, moments: np.ndarray) -> None:
        """Adds moments of many: squares within each, and between them.

        Args:
          counts: [N, F].
          moments: [4, N, D].
        """
        mean, squares, minimum, maximum = moments
        self._counts = counts.sum(axis=0)
        # From the first mean on, so that what is constant stays exactly that.
        shares = np.repeat(counts / self._counts, self._widths, axis=1)
        whole = mean[0] + ((mean - mean[0]) * shares).sum(axis=0)
        numbers = np.repeat(counts, self._widths, axis=1)
        between = (numbers * (mean - whole) ** 2).sum(axis=0)
        self._moments = np.stack(
            [
                whole,
                squares.sum(axis=0) + between,
                minimum.min(axis=0),
                maximum.max(axis=0),
            ]
        )

    @property
    def summary(self) -> Summary:
        """Everything that was added, together; of no features before the first."""
        self._add_pending()
        nothing = tuple(np.zeros((0, width), np.float32) for width in self._widths)
        return Summary(
            self._counts, self._widths, self._moments, nothing, self._sketches
        )


def merge(summaries: Iterable[Summary]) -> Summary:
    """Returns all summaries together."""
    merger = SummaryMerger()
    for summary in summaries:
        merger.add(summary)
    return merger.summary


def statistics_of(summary: Summary, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns plain numbers of a merged summary, by feature and for every entry.

    Args:
      summary: As `merge` returns it.
      names: Of its features.
    """
    found = {}
    stops = np.cumsum(summary.widths)
    for number, name in enumerate(names):
        count, stop = int(summary.counts[number]), stops[number]
        block = summary.moments[:, stop - summary.widths[number] : stop]
        mean, squares, minimum, maximum = block
        sketches = summary.sketches[number]
        found[name] = {
            "count": count,
            "mean": mean.tolist(),
            "std": np.sqrt(squares / count).tolist(),
            "min": minimum.tolist(),
            "max": maximum.tolist(),
            "squares": squares.tolist(),
            "quantiles": {
                f"q{quantile * 100:g}": [s.get_quantile(quantile) for s in sketches]
                for quantile in (() if _is_empty(sketches) else QUANTILES)
            },
        }
    return found


def _is_empty(sketches: Sequence[Any]) -> bool:
    # One that was given nothing but NaN is.
    return not sketches or any(sketch.is_empty() for sketch in sketches)
