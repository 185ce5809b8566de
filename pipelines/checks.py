"""Checks beyond the contract: thresholds on what was measured, each with its reason.

The contract says what no learner could use. A check says what somebody should look
at, and a recipe decides whether that episode is kept with a flag or set aside. A
check works on the index, so changing a threshold costs no reading.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.episodes.errors import UserError, unknown_name

REJECT, FLAG, OFF = "reject", "flag", "off"
ACTIONS = (REJECT, FLAG, OFF)
# Of a normal distribution, the standard deviation over the median distance.
_MAD_TO_SIGMA = 1.4826


@dataclasses.dataclass(frozen=True)
class Check:
    """One check of a recipe.

    Attributes:
      action: 'reject' sets the episode aside, 'flag' keeps it and says so, 'off'.
      threshold: Where it strikes; see `DEFAULTS` for what each one means.
    """

    action: str
    threshold: float

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise unknown_name("action of a check", self.action, ACTIONS)
        if not np.isfinite(self.threshold) or self.threshold < 0:
            raise UserError(
                f"a check's threshold must be a number not below 0, not "
                f"{self.threshold}; leave it out for the default"
            )


# A lit scene's mean is above 20 even through a stopped-down lens; a covered lens or
# lights that are off stay below 4 with sensor noise. A frame above 251 shows nothing.
# Short episodes may really see nothing move, so a run of 4 equal frames is allowed.
# Every joint of a moving arm trembles by its encoder's last digit within 20 steps.
# A controller that is at its limits nine times in ten is not in control. A step that
# took thrice its time lost a message or two; intervals that scatter by half of their
# mean make velocities meaningless. Ten deviations are no luck.
DEFAULTS: Mapping[str, Check] = {
    "dark": Check(REJECT, 4.0),
    "overexposed": Check(REJECT, 251.0),
    "frozen": Check(REJECT, 4.0),
    "too_short": Check(FLAG, 2.0),
    "stuck_joints": Check(FLAG, 20.0),
    "saturated": Check(FLAG, 0.9),
    "time_gap": Check(FLAG, 3.0),
    "jitter": Check(FLAG, 0.5),
    "outlier_return": Check(FLAG, 10.0),
    "label_disagreement": Check(FLAG, 0.0),
}


# Judged by comparing an episode with all others.
COMPARING = ("outlier_return",)


def merged_checks(changes: Mapping[str, Check]) -> dict[str, Check]:
    """Returns the default checks with a recipe's changes; unknown names are errors."""
    for name in changes:
        if name not in DEFAULTS:
            raise unknown_name("check", name, DEFAULTS)
    return {**DEFAULTS, **changes}


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check saw in one episode.

    Attributes:
      row: Row of the table that was judged.
      check: Name of the check.
      action: What its recipe wants done.
      message: What was seen, and the threshold.
    """

    row: int
    check: str
    action: str
    message: str

    def __str__(self) -> str:
        """Returns 'check: message'."""
        return f"{self.check}: {self.message}"


def findings(table: pa.Table, checks: Mapping[str, Check]) -> Iterator[Finding]:
    """Yields what each check sees, check by check, row by row.

    Args:
      table: Rows of an index; columns that are not there are not judged.
      checks: By name, as `merged_checks` returned.
    """
    for name, check in checks.items():
        if check.action == OFF:
            continue
        for row, message in _JUDGES[name](table, check.threshold):
            yield Finding(int(row), name, check.action, message)


_Judge = Callable[[pa.Table, float], Iterator[tuple[int, str]]]


def _column(table: pa.Table, name: str) -> Optional[np.ndarray]:
    if name not in table.column_names:
        return None
    return table[name].to_numpy(zero_copy_only=False)


def _above(column: str, text: str) -> _Judge:
    def judge(table: pa.Table, threshold: float) -> Iterator[tuple[int, str]]:
        values = _column(table, column)
        if values is not None:
            for row in np.flatnonzero(values > threshold):
                yield row, text.format(values[row], threshold)

    return judge


def _below(column: str, text: str) -> _Judge:
    def judge(table: pa.Table, threshold: float) -> Iterator[tuple[int, str]]:
        values = _column(table, column)
        if values is not None:
            for row in np.flatnonzero(values < threshold):
                yield row, text.format(values[row], threshold)

    return judge


def _too_short(table: pa.Table, threshold: float) -> Iterator[tuple[int, str]]:
    actions = table["num_steps"].to_numpy() - 1
    for row in np.flatnonzero(actions < threshold):
        yield row, f"{actions[row]} actions, fewer than {threshold:g}"


def _stuck_joints(table: pa.Table, threshold: float) -> Iterator[tuple[int, str]]:
    if "stuck_joints" not in table.column_names:
        return
    lengths = table["num_steps"].to_numpy()
    counts = pc.fill_null(pc.list_value_length(table["stuck_joints"]), 0).to_numpy()
    for row in np.flatnonzero((counts > 0) & (lengths >= threshold)):
        names = ", ".join(table["stuck_joints"][int(row)].as_py())
        yield row, f"{names} never moves in {lengths[row]} steps"


def _outlier_return(table: pa.Table, threshold: float) -> Iterator[tuple[int, str]]:
    """Judges each task by itself: returns of two tasks have nothing in common."""
    returns = table["episode_return"].to_numpy()
    tasks = table["task"].combine_chunks().dictionary_encode()
    codes = tasks.indices.to_numpy(zero_copy_only=False)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        median = float(np.median(returns[rows]))
        deviation = float(np.median(np.abs(returns[rows] - median))) * _MAD_TO_SIGMA
        # More than half are the same, as binary rewards are: nothing to measure by.
        if deviation == 0:
            continue
        distance = np.abs(returns[rows] - median) / deviation
        for row, far in zip(rows, distance):
            if far > threshold:
                yield (
                    row,
                    f"return {returns[row]:g} is {far:.1f} deviations from the "
                    f"median {median:g} of its task",
                )


def _labels(text: str) -> dict[str, Any]:
    """Returns the labels of other labellers; none where nonsense was written."""
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return labels if isinstance(labels, dict) else {}


def _label_disagreement(table: pa.Table, _: float) -> Iterator[tuple[int, str]]:
    if "other_labels" not in table.column_names:
        return
    pairs = zip(table["other_labels"].to_pylist(), table["success"].to_pylist())
    for row, (text, success) in enumerate(pairs):
        if not text or text == "{}":
            continue
        labels = _labels(text)
        other = {who: said for who, said in labels.items() if said != "unknown"}
        against = [who for who, said in other.items() if said != success]
        if success == "unknown" and len(set(other.values())) > 1:
            told = ", ".join(f"{who} says {said}" for who, said in other.items())
            yield row, f"success is unknown, for {told}"
        elif against and success != "unknown":
            yield row, f"success is {success!r}, {', '.join(against)} says otherwise"


_JUDGES: Mapping[str, _Judge] = {
    "dark": _below("darkest_frame", "a frame's mean is {:.1f} of 255, below {:g}"),
    "overexposed": _above(
        "brightest_frame", "a frame's mean is {:.1f} of 255, above {:g}"
    ),
    "frozen": _above("frozen_frames", "{} frames in a row are the same, over {:g}"),
    "too_short": _too_short,
    "stuck_joints": _stuck_joints,
    "saturated": _above(
        "saturated_share", "{:.0%} of the action is at its bounds, over {:.0%}"
    ),
    "time_gap": _above("largest_gap", "a step took {:.1f} times its time, over {:g}"),
    "jitter": _above(
        "jitter", "times between steps scatter by {:.0%} of their mean, over {:.0%}"
    ),
    "outlier_return": _outlier_return,
    "label_disagreement": _label_disagreement,
}
