"""What a recording's fields are likely to be, by their names, types and rates."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from thresher.pipelines.ingest.recording import Contents, FieldInfo

_ACTION = re.compile(r"cmd|command|action|target|setpoint|desired|goal_", re.I)
_REWARD = re.compile(r"(^|[/._])rewards?$", re.I)
_SUCCESS = re.compile(r"success|succeeded", re.I)
# Of a step or an episode, rather than a rate or a count of them.
_VERDICT = re.compile(r"(^|[/._])(is_)?succ(ess(es|ful)?|eeded)?$", re.I)
_LANGUAGE = re.compile(r"language|instruction|(^|[/._])tasks?$", re.I)
_TERMINAL = re.compile(
    r"(^|[/._])(is_)?(terminals?|terminations?|terminated|dones?)$", re.I
)
_DISCOUNT = re.compile(r"(^|[/._])discounts?$", re.I)
# What describes a message, an uncertainty or a constant rather than the world.
_NOISE = re.compile(
    r"\.seq$|covariance|\.(stamp|time_?stamp|timestamp)$|(^|[/._])(index|frame_index|"
    r"episode_index|task_index|timestamp|is_first|is_last|is_terminal|discounts?|"
    r"(next_)?step_type)$",
    re.I,
)
_TEXTS = ("str", "string", "large_string", "object", "text")
# Larger vectors are maps and point clouds, which want thought.
_MAX_ENTRIES = 4096


def is_action(field: FieldInfo) -> bool:
    """Whether a field looks like a command."""
    return bool(_ACTION.search(field.name)) and is_number(field)


def is_reward(field: FieldInfo) -> bool:
    """Whether a field looks like rewards."""
    return bool(_REWARD.search(_meant(field.name))) and field.shape in ((), (1,))


def is_ending(field: FieldInfo) -> bool:
    """Whether a field looks like a mark of endings."""
    return bool(_TERMINAL.search(_meant(field.name))) and field.shape in ((), (1,))


def is_discount(field: FieldInfo) -> bool:
    """Whether a field looks like discounts, of which zero is an ending for good."""
    return is_discount_name(field.name) and field.shape in ((), (1,))


def is_discount_name(name: str) -> bool:
    """Whether a field of that name would hold discounts."""
    return bool(_DISCOUNT.search(_meant(name)))


def _meant(name: str) -> str:
    """Returns a field's name without the one that std_msgs gives all their values."""
    return name.removesuffix(".data")


def is_success(field: FieldInfo) -> bool:
    """Whether a field looks like the word on how an episode went."""
    return is_success_name(field.name) and field.shape in ((), (1,))


def is_success_name(name: str) -> bool:
    """Whether a field or attribute of that name would say how an episode went."""
    return bool(_VERDICT.search(_meant(name)))


def _succeeds(name: str) -> bool:
    return bool(_SUCCESS.search(name)) or is_success_name(name)


def is_language(field: FieldInfo) -> bool:
    """Whether a field looks like an instruction, or the name of a task."""
    return field.type in _TEXTS and bool(_LANGUAGE.search(field.name))


def is_number(field: FieldInfo) -> bool:
    """Whether a field is a number or a vector that is worth keeping."""
    if field.is_image or field.shape is None or field.type in _TEXTS:
        return False
    if "time" in field.type or _NOISE.search(field.name):
        return False
    return 0 < math.prod(field.shape) <= _MAX_ENTRIES and field.count != 0


def widest(
    fields: Sequence[FieldInfo], everything: Sequence[FieldInfo]
) -> list[FieldInfo]:
    """Returns the number fields that are part of no other one of them.

    A pose is kept whole rather than as a position and an orientation, but not with
    its covariance.

    Args:
      fields: To choose from.
      everything: All of the recording.
    """
    numbers = [f for f in fields if is_number(f) and not _holds_noise(f, everything)]
    names = {field.name for field in numbers}
    return [f for f in numbers if not any(a in names for a in _above(f.name))]


def _holds_noise(field: FieldInfo, fields: Sequence[FieldInfo]) -> bool:
    return any(
        other.name.startswith(f"{field.name}.") and _NOISE.search(other.name)
        for other in fields
    )


def _above(name: str) -> list[str]:
    return [name[: match.start()] for match in re.finditer(r"\.", name)]


def clock_of(fields: Sequence[FieldInfo]) -> FieldInfo | None:
    """Returns the field whose values are likeliest to be steps.

    That is the slowest camera, else the busiest state, else anything.
    """
    ticking = [f for f in fields if f.count > 1 and f.rate_hz > 0]
    cameras = [f for f in ticking if f.is_image]
    if cameras:
        return min(cameras, key=lambda f: (f.rate_hz, f.name))
    states = [f for f in ticking if not is_action(f)] or ticking
    return max(states, key=lambda f: (f.count, f.name)) if states else None


def guesses(contents: Contents) -> list[str]:
    """Returns sentences about what fields may be."""
    fields = contents.fields
    said = []
    cameras = [f.name for f in fields if f.is_image]
    actions = [f.name for f in widest(fields, fields) if is_action(f)]
    clock = clock_of([f for f in fields if f.is_image] + widest(fields, fields))
    for what, names in (
        ("cameras", cameras),
        ("actions", actions),
        ("rewards", [f.name for f in fields if is_reward(f)]),
        ("instructions", [f.name for f in fields if is_language(f)]),
        (
            "success",
            [
                # A message whose parts are listed is no value that could say it.
                *(f.name for f in fields if f.shape is not None and _succeeds(f.name)),
                *filter(_succeeds, contents.attributes),
            ],
        ),
    ):
        if names:
            said.append(f"{what}: {', '.join(names)}")
    if clock is not None:
        said.append(f"clock: {clock.name}, {clock.rate_hz:.1f} Hz")
    if not actions:
        said.append(
            "no field looks like an action: say next_of or difference_of of a state, "
            "or leave actions out"
        )
    return said
