"""Writes a first mapping with comments: `thresher ingest --suggest FILE`."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.formats import is_log, open_recording
from thresher.pipelines.ingest.guesses import (
    clock_of,
    is_action,
    is_ending,
    is_language,
    is_number,
    is_reward,
    widest,
)
from thresher.pipelines.ingest.recording import (
    Contents,
    DamagedRecordingError,
    FieldInfo,
    MessageLog,
)

# Enough messages to see which fields change their length.
_TRIED_MESSAGES = 5000
_FASTEST_HZ = 20.0
_MAX_FRAMES = 8


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
    if is_log(recording):
        fields = _steady(recording, [*fields, *_frames(recording, contents)])
    candidates = [*(f for f in fields if f.is_image), *widest(fields, contents.fields)]
    writer = _Suggestion(path, contents, candidates, dict(options or {}), format)
    if not writer.observations:
        raise UserError(
            f"{path} holds no field of numbers or pictures to make an observation of; "
            "`thresher inspect` shows what is inside"
        )
    return "\n".join(
        writer.of_log() if is_log(recording) else writer.of_table(recording)
    )


def _frames(log: Any, contents: Contents) -> list[FieldInfo]:
    """Returns fields for the transforms of lists that name their frames."""
    lists = [f for f in contents.fields if "child_frame_id" in f.note]
    found: dict[str, FieldInfo] = {}
    for entry in lists:
        field = f"{entry.name}[0].child_frame_id"
        for message in _some(log, [entry.name + "[0].child_frame_id"]):
            if field in message.values and len(found) < _MAX_FRAMES:
                frame = message.values[field]
                name = f"{entry.name}[child_frame_id={frame}].transform"
                found.setdefault(name, _transform(name, entry))
    return list(found.values())


def _transform(name: str, entry: FieldInfo) -> FieldInfo:
    return FieldInfo(name, "numbers", (7,), count=entry.count, rate_hz=entry.rate_hz)


def _some(log: MessageLog, fields: Sequence[str]) -> Iterator[Any]:
    try:
        yield from itertools.islice(log.messages(fields), _TRIED_MESSAGES)
    except DamagedRecordingError:
        return


def _steady(log: Any, fields: Sequence[FieldInfo]) -> list[FieldInfo]:
    """Returns the fields whose values have one shape and are finite."""
    unfit: set[str] = set()
    shapes: dict[str, Any] = {}
    for message in _some(log, [field.name for field in fields]):
        if message.problem:
            unfit |= {f.name for f in fields if f.name.startswith(message.topic)}
        for name, value in message.values.items():
            shape = "picture" if isinstance(value, bytes) else np.shape(value)
            if shapes.setdefault(name, shape) != shape or not _is_finite(value):
                unfit.add(name)
    return [f for f in fields if f.name in shapes and f.name not in unfit]


def _is_finite(value: Any) -> bool:
    if isinstance(value, (bytes, str)):
        return True
    array = np.asarray(value)
    return array.dtype.kind in "bui" or (
        array.dtype.kind == "f" and bool(np.isfinite(array).all())
    )


class _Suggestion:
    """The parts of a mapping, each as lines."""

    def __init__(
        self,
        path: Path,
        contents: Contents,
        candidates: Sequence[FieldInfo],
        options: dict[str, str],
        format: str,
    ) -> None:
        self._path = path
        self._contents = contents
        self._options, self._format = options, format
        self.actions = [f for f in candidates if is_action(f)]
        rest = [f for f in candidates if not is_action(f)]
        self.observations = [f for f in rest if not (is_reward(f) or is_ending(f))]
        self._rewards = [f for f in contents.fields if is_reward(f)]
        if not self.observations:
            self.observations, self.actions = list(self.actions), []

    def of_log(self) -> list[str]:
        return [*self._head(), *self._clock(), *self._features(), *self._tail()]

    def of_table(self, table: Any) -> list[str]:
        return [
            *self._head(),
            "# Time between steps, in seconds: check this.",
            f"step_seconds: {self._step_seconds()}",
            "",
            *self._alignment(table),
            *self._features(),
            *self._tail(),
        ]

    def _head(self) -> list[str]:
        name = _words(self._path.stem) or "recording"
        lines = [
            f"# A first mapping of {self._path.name}, made by `thresher ingest "
            "--suggest`. Check every line:",
            "# names and rates were guessed. `thresher inspect` shows all fields.",
            f"name: {name}",
            "robot: unknown",
            "# Who acted: random, scripted, teleoperated, learned or intervention.",
            "behaviour: {kind: unknown}",
        ]
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

    def _alignment(self, table: Any) -> list[str]:
        lines = [
            "# What the last row holds: rlds (its action and reward mean nothing), sar",
            "# (they are valid, as in OXE), n_plus_one (one observation more).",
        ]
        return [*lines, f"alignment: {self._guessed_alignment(table)}", ""]

    def _guessed_alignment(self, table: Any) -> str:
        pointer = next(iter(table.pointers()), None)
        if pointer is None or not self.actions:
            return "sar"
        state, action = self.observations[0].name, self.actions[0].name
        try:
            streams = table.read(pointer, [state, action]).streams
        except UserError:
            return "sar"
        longer = len(streams[state].times_ns) - len(streams[action].times_ns)
        return "n_plus_one" if longer == 1 else "sar"

    def _features(self) -> list[str]:
        lines = ["features:"]
        taken: set[str] = set()
        for field in self.observations:
            name = f"observation/{_unique(_words(field.name) or 'value', taken)}"
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
        language = next((f for f in self._contents.fields if is_language(f)), None)
        marks = [
            "# Where episodes begin and end: whole_file, value, message, gap,",
            "# stamp_reset or column.",
            "episodes: {by: whole_file}",
            "",
        ]
        if language is not None:
            marks.append(f"language: {{field: {_quoted(language.name)}}}")
        if self._rewards:
            return [*marks, f"reward: {{field: {_quoted(self._rewards[0].name)}}}"]
        return [
            *marks,
            "# Where success is said: {field: F}, {attribute: A}, or yes or no for",
            "# all. Rewards can be made of it (reward: success), or be left out:",
            *(f"#   attribute: {name}" for name in self._contents.attributes[:20]),
            "reward: none",
            "",
        ]


def _feature(field: FieldInfo, indent: str) -> list[str]:
    lines = [f"from: {_quoted(field.name)}"]
    encoding = {field.type, field.note} & {"jpeg", "png"}
    if field.is_image and encoding:
        lines += [f"encoding: {encoding.pop()}"]
    elif field.is_image and field.type == "uint8":
        lines += ["encoding: png"]
    elif field.type in ("float64", "double"):
        lines += ["dtype: float64"]
    elif field.type == "bool":
        lines += ["dtype: bool"]
    elif field.is_image:
        is_whole = "int" in field.type + field.note
        lines += ["dtype: int32" if is_whole else "dtype: float32"]
    if field.shape:
        lines += [f"shape: {list(field.shape)}"]
    return [indent + line for line in lines]


def _quoted(text: str) -> str:
    return json.dumps(text) if re.search(r"[^\w/.\-]|^-", text) else text


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
