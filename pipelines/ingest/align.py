"""Brings streams onto one clock: pure functions of times and values.

Times are int64 nanoseconds. A picked position is an index into a stream; -1 stands for
none. Nothing here makes up a value: picking returns values of the log as they are, and
only `interpolate`, which a mapping must ask for, returns others.
"""

from __future__ import annotations

import numpy as np

NONE = -1


def latest_before(times: np.ndarray, clock: np.ndarray) -> np.ndarray:
    """Returns for each tick the last value at or before it.

    Args:
      times: [N], rising or equal.
      clock: [T].

    Returns:
      [T] positions; -1 before the first value.
    """
    return np.searchsorted(times, clock, side="right") - 1


def latest_before_next(times: np.ndarray, clock: np.ndarray) -> np.ndarray:
    """Returns for each tick but the last the value in force when the next tick comes.

    That is the last value before the next tick: what was commanded on this tick's
    observation if anything was, else the command that is still held.

    Args:
      times: [N], rising or equal.
      clock: [T].

    Returns:
      [T] positions; for the last tick, which has no next, those of `latest_before`.
    """
    before = np.searchsorted(times, clock[1:], side="left") - 1
    return np.concatenate([before, latest_before(times, clock[-1:])])


def first_after(times: np.ndarray, clock: np.ndarray) -> np.ndarray:
    """Returns for each tick the first value at or after it; -1 after the last value."""
    found = np.searchsorted(times, clock, side="left")
    return np.where(found < len(times), found, NONE)


def nearest(times: np.ndarray, clock: np.ndarray) -> np.ndarray:
    """Returns for each tick the value nearest in time; the earlier one of two equals.

    Args:
      times: [N], rising or equal.
      clock: [T].

    Returns:
      [T] positions; -1 if there is no value at all.
    """
    if len(times) == 0:
        return np.full(len(clock), NONE)
    after = np.minimum(np.searchsorted(times, clock, side="left"), len(times) - 1)
    before = np.maximum(after - 1, 0)
    is_nearer = np.abs(clock - times[before]) <= np.abs(times[after] - clock)
    return np.where(is_nearer, before, after)


def skew(times: np.ndarray, clock: np.ndarray, picked: np.ndarray) -> np.ndarray:
    """Returns how far picked values are from their ticks.

    Args:
      times: [N].
      clock: [T].
      picked: [T] positions.

    Returns:
      [T] nanoseconds, not negative; the largest number where nothing was picked.
    """
    if len(times) == 0:
        return np.full(len(clock), np.iinfo(np.int64).max)
    apart = np.abs(times[picked] - clock)
    return np.where(picked == NONE, np.iinfo(np.int64).max, apart)


def interpolate(
    times: np.ndarray, values: np.ndarray, clock: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Interpolates numbers linearly between the values around each tick.

    Args:
      times: [N], rising or equal.
      values: [N, …] numbers.
      clock: [T].

    Returns:
      [T, …] float64, zero outside the stream; [T] positions of the value at or before;
      and [T] positions at or after, both -1 outside the stream.
    """
    before, after = latest_before(times, clock), first_after(times, clock)
    inside = (before != NONE) & (after != NONE)
    before, after = np.where(inside, before, NONE), np.where(inside, after, NONE)
    if not inside.any():
        return np.zeros((len(clock), *values.shape[1:])), before, after
    gap = np.where(inside, times[after] - times[before], 0)
    part = np.where(gap > 0, (clock - times[before]) / np.maximum(gap, 1), 0.0)
    part = part.reshape(-1, *([1] * (values.ndim - 1)))
    low, high = values[before].astype(np.float64), values[after].astype(np.float64)
    mixed = np.where(part == 0, low, low + (high - low) * part)
    return np.where(inside.reshape(part.shape), mixed, 0.0), before, after


def totals(times: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Returns the sum of the values from each edge to before the next.

    Args:
      times: [N], rising or equal.
      values: [N] numbers.
      edges: [T] rising.

    Returns:
      [T - 1] float64; interval t is edges[t] <= time < edges[t + 1].
    """
    cuts = np.searchsorted(times, edges, side="left")
    return np.array(
        [values[a:b].sum(dtype=np.float64) for a, b in zip(cuts[:-1], cuts[1:])],
        dtype=np.float64,
    )


def fixed_rate(start_ns: int, end_ns: int, rate_hz: float) -> np.ndarray:
    """Returns ticks from `start_ns` to `end_ns` at most, in whole nanoseconds."""
    count = int((end_ns - start_ns) * rate_hz / 1e9 + 1e-6) + 1
    return start_ns + np.round(np.arange(count) * (1e9 / rate_hz)).astype(np.int64)


def thinned(times: np.ndarray, rate_hz: float) -> np.ndarray:
    """Returns positions of the values that a slower clock keeps.

    From the first value on, each kept one is the first at or after the next tick of the
    rate, so that every tick is the time of a value of the log. Ticks may come up to a
    hundredth of a period early, for clocks that jitter around the very rate.

    Args:
      times: [N] rising.
      rate_hz: The wanted rate.
    """
    period = 1e9 / rate_hz
    kept: list[int] = []
    due = float("-inf")
    for position, time in enumerate(times.tolist()):
        if time >= due - period / 100:
            kept.append(position)
            due = time + period if due == float("-inf") else due + period
            # After a gap the grid starts anew rather than catching up in a burst.
            if due <= time:
                due = time + period
    return np.array(kept, dtype=np.int64)
