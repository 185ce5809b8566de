"""Brings each stream of a segment into the order of time, as the mapping says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from thresher.episodes.images import EncodedImages
from thresher.pipelines.ingest.mapping import LogMapping
from thresher.pipelines.ingest.recording import Stream
from thresher.pipelines.ingest.ticks import RefusedSegment


def in_order(
    streams: Mapping[str, Stream], mapping: LogMapping
) -> tuple[dict[str, Stream], dict[str, np.ndarray]]:
    """Returns streams whose times do not fall, and where each value was before.

    Args:
      streams: By field, in the order in which the log holds them.
      mapping: Its clock says what becomes of late values.

    Returns:
      The streams by field, and for each its values' positions in `streams`.

    Raises:
      RefusedSegment: A late value, where the mapping refuses those.
    """
    late = (mapping.clock.late or "sort") if mapping.clock else "reject"
    ordered: dict[str, Stream] = {}
    kept: dict[str, np.ndarray] = {}
    for field, stream in streams.items():
        kept[field] = _order(field, stream.times_ns, late)
        ordered[field] = taken(stream, kept[field])
    return ordered, kept


def _order(field: str, times: np.ndarray, late: str) -> np.ndarray:
    highest = np.maximum.accumulate(times) if len(times) else times
    is_late = times < highest
    if not is_late.any():
        return np.arange(len(times))
    if late == "sort":
        return np.argsort(times, kind="stable")
    if late == "drop":
        return np.flatnonzero(~is_late)
    first = int(np.flatnonzero(is_late)[0])
    raise RefusedSegment(
        f"time: {field} runs backwards at value {first}, from {highest[first]} to "
        f"{times[first]} ns; say clock: {{late: sort}}, or drop, if it may"
    )


def taken(stream: Stream, order: np.ndarray) -> Stream:
    """Returns a stream's values at some positions, in their order."""
    if len(order) == len(stream.times_ns) and np.all(np.diff(order) == 1):
        return stream
    values = stream.values
    if isinstance(values, EncodedImages):
        frames = tuple(values.frames[position] for position in order.tolist())
        return Stream(stream.times_ns[order], EncodedImages(frames, values.encoding))
    return Stream(stream.times_ns[order], values[order])
