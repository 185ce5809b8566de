"""Rewards, discounts and flags of an episode that was read from a recording."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from thresher.episodes.metadata import Success
from thresher.episodes.spec import Column
from thresher.pipelines.ingest.align import totals
from thresher.pipelines.ingest.columns import ColumnError
from thresher.pipelines.ingest.mapping import Ending, LogMapping
from thresher.pipelines.ingest.recording import Stream


def outcome_columns(
    mapping: LogMapping,
    streams: Mapping[str, Stream],
    ticks: np.ndarray,
    success: Success,
) -> tuple[dict[str, Column], dict[str, np.ndarray]]:
    """Returns reward, discount and the three flags of an episode.

    Args:
      mapping: Says where rewards and endings come from.
      streams: By field.
      ticks: [T] times of the steps, the final observation's last.
      success: What was said of the episode.

    Returns:
      The columns by name, each [T], zero at the last step; and by field the positions
      of the values that they were made of.

    Raises:
      ColumnError: A field that does not hold what it should.
    """
    count = len(ticks)
    picked: dict[str, np.ndarray] = {}
    reward = np.zeros(count, np.float32)
    if mapping.reward.source == "success":
        reward[-2] = float(success == Success.YES)
    elif mapping.reward.source == "field":
        sums = _rewards(mapping, streams, ticks, picked)
        with np.errstate(over="ignore"):
            reward[:-1] = sums
        too_large = np.isinf(reward[:-1]) & np.isfinite(sums)
        if too_large.any():
            raise ColumnError(
                f"reward: {sums[too_large][0]} of {mapping.reward.field} is no float32"
            )
    terminal = _is_terminal(mapping, streams, success, picked)
    discount = np.ones(count, np.float32)
    discount[-2:] = [0.0 if terminal else 1.0, 0.0]
    position = np.arange(count)
    columns: dict[str, Column] = {
        "reward": reward,
        "discount": discount,
        "is_first": position == 0,
        "is_last": position == count - 1,
        "is_terminal": (position == count - 1) & terminal,
    }
    return columns, picked


def _rewards(
    mapping: LogMapping,
    streams: Mapping[str, Stream],
    ticks: np.ndarray,
    picked: dict[str, np.ndarray],
) -> np.ndarray:
    """Returns [T - 1] rewards that followed each action; see `Reward`."""
    field = mapping.reward.field
    times, values = _numbers("reward", field, streams)
    # Coming with the next observation means in (t, t + 1] rather than [t, t + 1).
    edges = ticks + int(mapping.reward.given_with == "next_observation")
    if mapping.clock is not None:
        # What a log says after the final observation still rewards what led there.
        edges = np.append(edges[:-1], np.iinfo(np.int64).max)
    inside = (times >= edges[0]) & (times < edges[-1])
    picked[field] = np.flatnonzero(inside)
    return totals(times, values, edges)


def _is_terminal(
    mapping: LogMapping,
    streams: Mapping[str, Stream],
    success: Success,
    picked: dict[str, np.ndarray],
) -> bool:
    ending = mapping.ending
    if ending.kind == "success":
        return success == Success.YES
    if ending.kind != "field":
        return ending.kind == "terminal"
    if ending.field not in streams:
        return False
    stream = streams[ending.field]
    picked[ending.field] = np.arange(len(stream.times_ns))
    if ending.terminal_values:
        return _holds_one_of(ending, stream)
    _, values = _numbers("ending", ending.field, streams)
    _require_truths(ending.field, values)
    return bool(values.any())


def _holds_one_of(ending: Ending, stream: Stream) -> bool:
    values = stream.values
    if not isinstance(values, np.ndarray):
        raise ColumnError(f"ending: {ending.field} holds pictures")
    values = _one_a_step("ending", ending.field, values)
    is_text = values.dtype.kind not in "bifu"
    wanted = [v for v in ending.terminal_values if isinstance(v, str) == is_text]
    if not wanted:
        raise ColumnError(
            f"ending: {ending.field} holds {'texts' if is_text else 'numbers'}, and "
            f"none is among terminal_values of {list(ending.terminal_values)}"
        )
    if is_text:
        return any(value in wanted for value in values.tolist())
    # A field of float32 holds 0.1 as near as it can.
    kind = values.dtype if values.dtype.kind == "f" else None
    return bool(np.isin(values, np.array(wanted, kind)).any())


def _require_truths(field: str, values: np.ndarray) -> None:
    """Refuses numbers of which nobody knows which ones end an episode for good."""
    other = (values != 0) & (values != 1)
    if other.any():
        raise ColumnError(
            f"ending: {values[other][0]} of {field} is neither true nor false; say "
            "which values end an episode for good, as in terminal_values: [2]"
        )


def _numbers(
    what: str, field: str, streams: Mapping[str, Stream]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the times and the numbers of a field; a log may be silent on it."""
    if field not in streams:
        return np.zeros(0, np.int64), np.zeros(0)
    stream = streams[field]
    values = stream.values
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "bifu":
        remedy = "; say terminal_values: [WORD]" if what == "ending" else ""
        raise ColumnError(f"{what}: {field} does not hold numbers{remedy}")
    return stream.times_ns, _one_a_step(what, field, values)


def _one_a_step(what: str, field: str, values: np.ndarray) -> np.ndarray:
    if values.ndim > 1 and values.shape[1:] != (1,):
        raise ColumnError(
            f"{what}: {field} holds {list(values.shape[1:])} values a step, not one"
        )
    return values.reshape(-1)
