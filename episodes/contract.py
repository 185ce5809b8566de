"""The rules every episode keeps, and one function that names each that is broken.

Without them no learner could use an episode. What is merely suspicious (dark frames,
a joint that never moves) is judged by thresholds that a recipe may move:
`pipelines/checks.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import Success
from thresher.episodes.spec import EpisodeSpec

_FLOAT32_SUM_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Violation:
    """One broken rule.

    Attributes:
      rule: 'columns', 'length', 'missing_frames', 'values', 'flags', 'last_step',
        'discount', 'return', 'outcome' or 'time'.
      message: What was found, with the value.
    """

    rule: str
    message: str


def violations(episode: Episode, spec: EpisodeSpec) -> list[Violation]:
    """Returns every rule that an episode breaks; an empty list for a good one.

    Rules on values are only judged where the columns are there at all, so that a
    missing column is reported once and not as a consequence of itself.
    """
    missing = list(_column_violations(episode, spec))
    if missing:
        return missing
    found = [*_length_violations(episode), *_missing_frame_violations(episode)]
    if found:
        return found
    found += [
        Violation("values", problem)
        for feature in spec.all_features
        for problem in feature.problems(episode.steps[feature.name])
    ]
    if found:
        return found
    rules = [_flag_violations, _return_violations, _time_violations]
    # In the other alignment the last step holds an action like any other.
    if spec.alignment == "rlds":
        rules += [_last_step_violations, _discount_violations]
    for rule in rules:
        found += rule(episode)
    return found


def _column_violations(episode: Episode, spec: EpisodeSpec) -> Iterator[Violation]:
    wanted = {feature.name for feature in spec.all_features}
    for name in sorted(wanted - set(episode.steps)):
        yield Violation("columns", f"{name} is missing")
    for name in sorted(set(episode.steps) - wanted):
        yield Violation("columns", f"{name} is not in the spec {spec.name!r}")


def _length_violations(episode: Episode) -> Iterator[Violation]:
    if episode.num_steps < 2:
        yield Violation(
            "length", f"{episode.num_steps} step: an episode holds at least one action"
        )


def _missing_frame_violations(episode: Episode) -> Iterator[Violation]:
    for name, column in episode.steps.items():
        if not isinstance(column, EncodedImages):
            continue
        empty = [step for step, frame in enumerate(column.frames) if not frame]
        if empty:
            yield Violation(
                "missing_frames",
                f"{len(empty)} of {len(column)} frames of {name} are empty, the first "
                f"at step {empty[0]}",
            )


def _flag_violations(episode: Episode) -> Iterator[Violation]:
    last = episode.num_steps - 1
    for name, legal in (("is_first", [0]), ("is_last", [last])):
        steps = np.flatnonzero(episode.array(name)).tolist()
        if steps != legal:
            yield Violation("flags", f"{name} is set at {steps}, not just at {legal}")
    terminal = np.flatnonzero(episode.array("is_terminal")).tolist()
    if terminal not in ([], [last]):
        yield Violation("flags", f"is_terminal is set at {terminal} before the end")


def _last_step_violations(episode: Episode) -> Iterator[Violation]:
    for name in episode.steps:
        is_action = name == "action" or name.startswith("action/")
        if not (is_action or name in ("reward", "discount")):
            continue
        column = episode.array(name)
        if np.any(column[-1]):
            yield Violation(
                "last_step",
                f"{name} of the last step is {column[-1]}, not 0: nothing follows the "
                "final observation (is the log in another alignment?)",
            )


def _discount_violations(episode: Episode) -> Iterator[Violation]:
    discount = episode.array("discount")
    terminal = bool(episode.array("is_terminal")[-1])
    final = discount[-2]
    if terminal and final != 0:
        yield Violation("discount", f"terminal, but the last discount is {final}")
    if not terminal and final == 0:
        yield Violation("discount", "a time-out, but the last discount is 0")
    early = np.flatnonzero(discount[:-2] == 0)
    if early.size:
        yield Violation("discount", f"0 at step {early[0]}, before the end")


def _return_violations(episode: Episode) -> Iterator[Violation]:
    # A last step in RLDS alignment holds 0; in the other its reward counts.
    rewards = episode.array("reward")
    outcome = episode.metadata.outcome
    total = float(np.sum(rewards, dtype=np.float64))
    if abs(total - outcome.episode_return) > _FLOAT32_SUM_TOLERANCE * max(
        1, len(rewards)
    ):
        yield Violation(
            "return",
            f"outcome says {outcome.episode_return}, the rewards sum to {total}",
        )
    # Only rewards that are themselves a verdict can contradict the verdict.
    is_verdict = np.all((rewards == 0) | (rewards == 1)) and total <= 1
    said = {Success.YES: True, Success.NO: False}.get(outcome.success)
    if is_verdict and said is not None and said != (total == 1):
        yield Violation(
            "outcome", f"success is {outcome.success.value!r}, the reward is {total}"
        )


def _time_violations(episode: Episode) -> Iterator[Violation]:
    if "timestamp" not in episode.steps:
        return
    times = episode.array("timestamp")
    backward = np.flatnonzero(np.diff(times) <= 0)
    if backward.size:
        step = int(backward[0])
        yield Violation(
            "time", f"timestamp goes from {times[step]} to {times[step + 1]} s"
        )
