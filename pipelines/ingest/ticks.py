"""The steps of one segment: when they are, and which values belong to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Optional

import numpy as np

from thresher.pipelines.ingest.align import (
    NONE,
    first_after,
    fixed_rate,
    interpolate,
    latest_before,
    latest_before_next,
    nearest,
    skew,
    thinned,
)
from thresher.pipelines.ingest.mapping import Clock, Source
from thresher.pipelines.ingest.recording import Stream

# Nobody acts for a million steps; a clock that was never set looks as if.
MAX_STEPS = 1_000_000
_PICK = {
    "latest-before": latest_before,
    "latest-before-next": latest_before_next,
    "nearest": nearest,
    "first-after": first_after,
}


class RefusedSegment(ValueError):
    """A segment that cannot become an episode, with the rule that it breaks."""


@dataclasses.dataclass(frozen=True)
class Picked:
    """The values of one stream that belong to steps.

    Attributes:
      positions: [T] into the stream; -1 for none.
      skew_ns: [T] how far they are from the step.
      values: [T, …] interpolated numbers, or None where values are picked.
      also: [T] the other position of interpolated numbers; else `positions`.
      valid: [T] whether the step has a value.
      gap_ns: Longest time between two values of the stream.
    """

    positions: np.ndarray
    skew_ns: np.ndarray
    values: Optional[np.ndarray]
    also: np.ndarray
    valid: np.ndarray
    gap_ns: int


def clock_ticks(
    clock: Clock, streams: Mapping[str, Stream], start_ns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the times of a log's steps.

    Args:
      clock: The mapping's.
      streams: By field.
      start_ns: When the segment begins: what was carried over is no step.

    Returns:
      [T] times, rising, and the positions of the clock stream's values that they are
      (empty at a fixed rate).

    Raises:
      RefusedSegment: No step at all, or more than `MAX_STEPS`.
    """
    if not clock.stream:
        return _fixed(clock, streams, start_ns), np.zeros(0, np.int64)
    if clock.stream not in streams:
        raise RefusedSegment(f"clock: {clock.stream} has no message in it")
    times = streams[clock.stream].times_ns
    own = np.flatnonzero(times >= start_ns)
    # A step is a point in time: of messages at the same one, the last counts.
    last_of_equal = np.append(np.diff(times[own]) > 0, True)[: len(own)]
    own = own[last_of_equal]
    if clock.rate_hz is not None:
        own = own[thinned(times[own], clock.rate_hz)]
    if len(own) == 0:
        raise RefusedSegment(f"clock: {clock.stream} has no message in it")
    _check_count(len(own))
    return times[own], own


def _fixed(clock: Clock, streams: Mapping[str, Stream], start_ns: int) -> np.ndarray:
    """Returns ticks from when every stream has begun to when the last one ends."""
    begun = [int(stream.times_ns[0]) for stream in streams.values()]
    ended = [int(stream.times_ns[-1]) for stream in streams.values()]
    if not begun:
        raise RefusedSegment("clock: no message of any stream in it")
    first, last = max([start_ns, *begun]), max(ended)
    if last < first:
        raise RefusedSegment("clock: the streams do not overlap in time")
    assert clock.rate_hz is not None
    _check_count((last - first) * clock.rate_hz / 1e9)
    return fixed_rate(first, last, clock.rate_hz)


def _check_count(count: float) -> None:
    if count > MAX_STEPS:
        raise RefusedSegment(
            f"length: {count:.0f} steps, more than {MAX_STEPS}; is a clock not set, or "
            "the rate too high?"
        )


def pick(source: Source, stream: Stream, ticks: np.ndarray) -> Picked:
    """Returns the values of a stream that belong to ticks."""
    times = stream.times_ns
    gap = int(np.diff(times).max()) if len(times) > 1 else 0
    tolerance = _tolerance_ns(source)
    if source.align == "interpolate":
        return _interpolated(stream, ticks, tolerance, gap)
    positions = _PICK[source.align](times, ticks)
    apart = skew(times, ticks, positions)
    valid = (positions != NONE) & (apart <= tolerance)
    if source.on_gap == "hold":
        held = latest_before(times, ticks)
        positions = np.where(valid, positions, held)
        apart = skew(times, ticks, positions)
        valid = positions != NONE
    return Picked(positions, apart, None, positions, valid, gap)


def _tolerance_ns(source: Source) -> int:
    if source.tolerance_seconds is None:
        return int(np.iinfo(np.int64).max - 1)
    return round(source.tolerance_seconds * 1e9)


def _interpolated(
    stream: Stream, ticks: np.ndarray, tolerance: int, gap: int
) -> Picked:
    assert isinstance(stream.values, np.ndarray)
    times = stream.times_ns
    values, before, after = interpolate(times, stream.values, ticks)
    apart = np.where(
        before == NONE, np.iinfo(np.int64).max, times[after] - times[before]
    )
    nearer = np.minimum(skew(times, ticks, before), skew(times, ticks, after))
    valid = (before != NONE) & (apart <= tolerance)
    return Picked(before, nearer, values, after, valid, gap)


def common_range(name: str, valid: np.ndarray, on_gap: str) -> tuple[int, int]:
    """Returns the first and behind-the-last step that a feature has values for.

    Args:
      name: Of the feature, for reasons.
      valid: [T].
      on_gap: The mapping's; see `Source`.

    Raises:
      RefusedSegment: There are none, or some are missing where none may.
    """
    there = np.flatnonzero(valid)
    if len(there) == 0:
        raise RefusedSegment(
            f"alignment: {name} has no value near any step; is its tolerance too small?"
        )
    first, last = int(there[0]), int(there[-1]) + 1
    if on_gap == "reject" and (first > 0 or last < len(valid)):
        raise RefusedSegment(
            f"gap: {name} has no value at step {0 if first else last} of {len(valid)}"
        )
    if len(there) != last - first:
        missing = int(np.flatnonzero(~valid[first:last])[0]) + first
        raise RefusedSegment(
            f"gap: {name} has no value within its tolerance at step {missing} of "
            f"{len(valid)}; say on_gap: hold, or a larger tolerance_seconds"
        )
    return first, last
