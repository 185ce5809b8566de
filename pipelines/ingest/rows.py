"""The rows of a table as steps: their times, and whether they fit the alignment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from thresher.pipelines.ingest.mapping import LogMapping
from thresher.pipelines.ingest.recording import Stream
from thresher.pipelines.ingest.ticks import RefusedSegment


def row_ticks(mapping: LogMapping, streams: Mapping[str, Stream]) -> np.ndarray:
    """Returns the times of a table's rows: those of its first observation.

    Raises:
      RefusedSegment: They do not rise, or actions, rewards or other observations are
        not as many as the alignment says.
    """
    observed = [field for field, follows in _columns(mapping) if not follows]
    ticks = streams[observed[0]].times_ns
    if np.any(np.diff(ticks) <= 0):
        raise RefusedSegment("time: two rows are at the same time")
    for field, follows in _columns(mapping):
        _check(mapping.alignment, field, follows, len(ticks), _count(streams, field))
    return ticks


def _columns(mapping: LogMapping) -> Iterator[tuple[str, bool]]:
    """Yields the fields, and whether they follow observations: actions and rewards."""
    for feature in mapping.features:
        is_action = feature.spec.name.split("/")[0] == "action"
        for field in feature.source.fields:
            yield field, is_action and not feature.derivation
    if mapping.reward.field:
        yield mapping.reward.field, True


def _count(streams: Mapping[str, Stream], field: str) -> int:
    return len(streams[field].times_ns) if field in streams else 0


def _check(alignment: str, field: str, follows: bool, rows: int, count: int) -> None:
    wanted = rows - 1 if follows and alignment == "n_plus_one" else rows
    if count == wanted:
        return
    remedy = ""
    if follows and count == rows - 1:
        remedy = "; write alignment: n_plus_one"
    elif follows and count == rows:
        remedy = "; write alignment: rlds or sar"
    raise RefusedSegment(
        f"alignment: {alignment or 'rlds'} wants {wanted} values of {field} for {rows} "
        f"observations, and there are {count}{remedy}"
    )
