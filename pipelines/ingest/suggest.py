"""Writes a first mapping with comments: `thresher ingest --suggest FILE`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

import numpy as np
import yaml

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.formats import is_log, open_recording
from thresher.pipelines.ingest.guesses import (
    clock_of,
    is_action,
    is_discount,
    is_ending,
    is_language,
    is_number,
    is_reward,
    is_success,
    is_success_name,
    widest,
)
from thresher.pipelines.ingest.recording import (
    Contents,
    FieldInfo,
)
from thresher.pipelines.ingest.trial import first_rows, frames, steady

_FASTEST_HZ = 20.0
# Tables often say once more that an observation is one.
_PREFIX = re.compile(r"^(observations?|obs)_")


def suggest(
    path: Path, options: Optional[Mapping[str, str]] = None, format: str = ""
) -> str:
    """Returns a mapping of a recording, as YAML with comments.

    Args:
      path: A file or folder.
      options: For the reader: {'ros_distro': 'humble'}.
      format: A format's name, which overrules what the bytes say.

    Raises:
      UserError: It cannot be opened, or holds nothing that could be an observation.
    """
    recording = open_recording(path, options, format)
    contents = recording.contents()
    fields = [f for f in contents.fields if f.is_image or is_number(f)]
    left: dict[str, int] = {}
    if is_log(recording):
        fields = steady(recording, [*fields, *frames(recording, contents)])
        alignment = ""
    else:
        fields, guessed, left = first_rows(recording, fields)
        alignment = contents.alignment or guessed
    candidates = [*(f for f in fields if f.is_image), *widest(fields, contents.fields)]
    writer = _Suggestion(
        path, contents, candidates, dict(options or {}), format, alignment, left
    )
    if not writer.observations:
        raise UserError(
            f"{path} holds no field of numbers or pictures to make an observation of; "
            "`thresher inspect` shows what is inside"
        )
    return "\n".join(writer.of_log() if is_log(recording) else writer.of_table())


class _Suggestion:
    """The parts of a mapping, each as lines."""

    def __init__(
        self,
        path: Path,
        contents: Contents,
        candidates: Sequence[FieldInfo],
        options: dict[str, str],
        format: str,
        alignment: str,
        left_out: Mapping[str, int],
    ) -> None:
        self._left_out = left_out
        self._guessed_alignment = alignment
        self._path = path
        self._contents = contents
        self._options, self._format = options, format
        self.actions = [f for f in candidates if is_action(f)]
        rest = [f for f in candidates if not is_action(f)]
        self.observations = [f for f in rest if not _is_verdict(f)]
        # Of the rewards before and after an action, the one after belongs to it.
        rewards = [f for f in candidates if is_reward(f)]
        self._rewards = sorted(rewards, key=lambda f: not _is_after(f))
        if not self.observations:
            self.observations, self.actions = list(self.actions), []

    def of_log(self) -> list[str]:
        return [*self._head(), *self._clock(), *self._features(), *self._tail()]

    def of_table(self) -> list[str]:
        return [
            *self._head(),
            "# Time between steps, in seconds: check this.",
            f"step_seconds: {self._step_seconds()}",
            "",
            *self._alignment(),
            *(
                f"# Left out: {name!r}, for it has {rows} rows where others have more"
                for name, rows in self._left_out.items()
            ),
            *self._features(),
            *self._tail(),
        ]

    def _head(self) -> list[str]:
        name = _words(self._path.stem)
        # YAML takes 1.0 for a number: a version's folder is named by its dataset.
        if not name[:1].isalpha():
            name = f"{_words(self._path.parent.name) or 'recording'}_{name}".strip("_")
        lines = [
            f"# A first mapping of {self._path.name}, made by `thresher ingest "
            "--suggest`. Check every line:",
            "# names and rates were guessed. `thresher inspect` shows all fields.",
            f"name: {name}",
            "robot: unknown",
            "# Who acted: random, scripted, teleoperated, learned or intervention.",
            "behaviour: {kind: unknown}",
        ]
        lines[2:2] = [f"# Note: {' '.join(n.split())}" for n in self._contents.notes]
        source = {"format": self._format} if self._format else {}
        if self._options or source:
            said = {**source, **({"options": self._options} if self._options else {})}
            lines.append(f"source: {json.dumps(said)}")
        return [*lines, ""]

    def _clock(self) -> list[str]:
        clock = clock_of(self.observations) or clock_of(self.actions)
        if clock is None:
            return ["# Nothing ticks: a step every 0.1 s.", "clock: {rate_hz: 10}", ""]
        lines = [
            f"# A step at each message of this stream ({clock.rate_hz:.1f} a second).",
            "clock:",
            f"  stream: {_quoted(clock.name)}",
        ]
        if clock.rate_hz > _FASTEST_HZ:
            return [
                *lines,
                "  # Thinned: the first message of each tenth of a second.",
                "  rate_hz: 10",
                "",
            ]
        return [*lines, f"step_seconds: {_rounded(1 / clock.rate_hz)}", ""]

    def _step_seconds(self) -> float:
        rates = [f.rate_hz for f in self._contents.fields if f.rate_hz > 0]
        return _rounded(1 / max(rates)) if rates else 0.1

    def _alignment(self) -> list[str]:
        lines = [
            "# What the last row holds: rlds (its action and reward mean nothing), sar",
            "# (they are valid, as in OXE), n_plus_one (one observation more).",
        ]
        return [*lines, f"alignment: {self._guessed_alignment}", ""]

    def _features(self) -> list[str]:
        lines = ["features:"]
        taken: set[str] = set()
        for field in self.observations:
            short = _PREFIX.sub("", _words(field.name)) or "value"
            name = f"observation/{_unique(short, taken)}"
            lines += [f"  {name}:", *_feature(field, "    ")]
        if self.actions:
            lines += ["", "# The command in force until the next step.", "action:"]
            if len(self.actions) == 1:
                return [*lines, *_feature(self.actions[0], "  "), ""]
            taken = set()
            lines.append("  parts:")
            for field in self.actions:
                name = _unique(_words(field.name) or "value", taken)
                lines += [f"    {name}:", *_feature(field, "      ")]
            return [*lines, ""]
        state = next((f for f in self.observations if not f.is_image), None)
        if state is None:
            return [*lines, ""]
        return [
            *lines,
            "",
            "# Nothing looks like a command. An action can be made of a state:",
            "# action:",
            f"#   next_of: {_quoted(state.name)}   # or difference_of",
            f"#   shape: {list(state.shape or ())}",
            "",
        ]

    def _tail(self) -> list[str]:
        fields = self._contents.fields
        # Those that say so come before those that name a task.
        languages = sorted(filter(is_language, fields), key=lambda f: "task" in f.name)
        lines = [
            "# Where episodes begin and end: whole_file, value, message, gap,",
            "# stamp_reset or column.",
            "episodes: {by: whole_file}",
            "",
        ]
        if languages:
            lines.append(f"language: {{field: {_quoted(languages[0].name)}}}")
        success = self._success()
        lines += success or self._where_success_may_be()
        lines += self._ending()
        if self._rewards:
            return [*lines, f"reward: {{field: {_quoted(self._rewards[0].name)}}}"]
        return [
            *lines,
            "# Rewards are made of success, or left out (none), and success with them.",
            f"reward: {'success' if success else 'none'}",
            "",
        ]

    def _ending(self) -> list[str]:
        fields = self._contents.fields
        endings = sorted(filter(is_ending, fields), key=lambda f: "done" in f.name)
        if endings:
            return [
                "# Terminal where this was ever true: check that it is not set where",
                "# only the time ran out.",
                f"ending: {{field: {_quoted(endings[0].name)}}}",
            ]
        # Of the discounts before and after an action, the one after says how it ended.
        discounts = sorted(filter(is_discount, fields), key=lambda f: not _is_after(f))
        if not discounts:
            return []
        name = _quoted(discounts[0].name)
        return [
            "# Terminal where this was ever zero.",
            f"ending: {{field: {name}, terminal_values: [0]}}",
        ]

    def _success(self) -> list[str]:
        """Returns where success is said; nothing if nothing looks like it."""
        said = [f for f in self._contents.fields if is_success(f)]
        named = [name for name in self._contents.attributes if is_success_name(name)]
        if said:
            return [
                "# True at any step of a success: check that this is what it means.",
                f"success: {{field: {_quoted(said[0].name)}, at: any}}",
            ]
        if named:
            return [f"success: {{attribute: {_quoted(named[0])}}}"]
        return []

    def _where_success_may_be(self) -> list[str]:
        named = self._contents.attributes[:20]
        return [
            "# Where success is said: {field: F}, {attribute: A}, or yes or no for",
            "# all; attributes are:" if named else "# all.",
            *(f"#   attribute: {name}" for name in named),
        ]


def _is_verdict(field: FieldInfo) -> bool:
    """Whether it says how a step went: a policy that saw it would know its label."""
    kinds = (is_reward, is_ending, is_success, is_discount)
    return any(is_kind(field) for is_kind in kinds)


def _is_after(field: FieldInfo) -> bool:
    return "next" in field.name


def _feature(field: FieldInfo, indent: str) -> list[str]:
    lines = [f"from: {_quoted(field.name)}"]
    encoding = {field.type, field.note} & {"jpeg", "png"}
    if field.is_image and encoding:
        lines += [f"encoding: {encoding.pop()}"]
    elif field.is_image and field.type == "uint8":
        lines += ["encoding: png"]
    elif field.is_image:
        is_whole = "int" in field.type + field.note
        lines += ["dtype: int32" if is_whole else "dtype: float32"]
    elif dtype := _dtype(field.type):
        lines += [f"dtype: {dtype}"]
    if field.shape:
        lines += [f"shape: {list(field.shape)}"]
    return [indent + line for line in lines]


def _dtype(type_name: str) -> str:
    """Returns a feature's type that holds a field's; '' for the usual one."""
    try:
        declared = np.dtype("float64" if type_name == "double" else type_name)
    except TypeError:
        return ""
    if declared.kind == "b":
        return "bool"
    if declared.kind == "f":
        return "float64" if declared.itemsize > 4 and type_name != "float" else ""
    if declared.kind in "iu":
        return "int32" if np.can_cast(declared, np.int32) else "int64"
    return ""


def _quoted(text: str) -> str:
    is_plain = re.fullmatch(r"[\w/][\w/.\-]*", text)
    # YAML takes 12 for a number, and yes for true.
    if is_plain and yaml.safe_load(text) == text:
        return text
    return json.dumps(text, ensure_ascii=False)


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _unique(name: str, taken: set[str]) -> str:
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    taken.add(unique)
    return unique


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.6g}")
