"""Statistics of features that merge: summaries are added up, shard by shard.

Every episode's summary is kept beside it, so a derived version's statistics are merged
from its parents' and nothing is decoded. Moments merge exactly (Chan, Golub, LeVeque
1979, eq. 2.1), quantiles by t-digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from thresher.pipelines.summary import Summary, new_sketches, update_sketches

QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
_MERGED_COMPRESSION = 200
# Values wait until there are enough to be worth sketching.
_PENDING_SUMMARIES = 256


class SummaryMerger:
    """Adds summaries of the same features up, in the order in which they come."""

    def __init__(self) -> None:
        self._counts = self._widths = np.zeros(0, np.int64)
        self._moments = np.zeros((4, 0))
        self._sketches: tuple[tuple[Any, ...], ...] = ()
        self._pending: list[tuple[np.ndarray, ...]] = []

    def add(self, summary: Summary) -> None:
        """Adds one.

        Raises:
          ValueError: It is of other features than the ones before.
        """
        if not len(self._widths):
            self._start(summary)
        elif not np.array_equal(summary.widths, self._widths):
            raise ValueError(
                f"a summary of features as wide as {summary.widths.tolist()}, "
                f"not {self._widths.tolist()}"
            )
        else:
            self._add_moments(summary)
        for mine, others in zip(self._sketches, summary.sketches):
            for sketch, other in zip(mine, others):
                sketch.merge(other)
        # Copies, for what was unpacked is a view of all the summary's bytes.
        self._pending.append(tuple(values.copy() for values in summary.values))
        if len(self._pending) == _PENDING_SUMMARIES:
            self._sketch_pending()

    def _start(self, summary: Summary) -> None:
        self._counts, self._widths = summary.counts, summary.widths
        self._moments = summary.moments
        self._sketches = tuple(
            new_sketches(width, _MERGED_COMPRESSION)
            for width in summary.widths.tolist()
        )

    def _add_moments(self, summary: Summary) -> None:
        """Adds moments (Chan, Golub, LeVeque 1979, eq. 2.1)."""
        counts = self._counts + summary.counts
        share, both = np.repeat(
            [summary.counts / counts, self._counts * (summary.counts / counts)],
            self._widths,
            axis=1,
        )
        mean, squares, minimum, maximum = self._moments
        other_mean, other_squares, other_minimum, other_maximum = summary.moments
        delta = other_mean - mean
        self._counts = counts
        self._moments = np.stack(
            [
                mean + delta * share,
                squares + other_squares + delta**2 * both,
                np.minimum(minimum, other_minimum),
                np.maximum(maximum, other_maximum),
            ]
        )

    def _sketch_pending(self) -> None:
        for sketches, values in zip(self._sketches, zip(*self._pending)):
            if sketches:
                update_sketches(sketches, np.concatenate(values))
        self._pending = []

    @property
    def summary(self) -> Summary:
        """Everything that was added, together; of no features before the first."""
        self._sketch_pending()
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
