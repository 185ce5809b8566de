"""Surveys a log's topics: counts, rates, gaps, and the fields of a first message."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.message_fields import (
    MISSING,
    FieldPath,
    FieldReader,
    FieldValueError,
    field_names,
    is_time,
)
from thresher.pipelines.ingest.message_images import ImageValueError, is_image
from thresher.pipelines.ingest.picture import picture_shape, sniff
from thresher.pipelines.ingest.recording import FieldInfo

_MAX_DEPTH = 6
_MAX_FIELDS = 60
# A clock that was never set is decades from the others.
JUMP_NS = 10**9 * 86400 * 365


@dataclasses.dataclass
class _Topic:
    type: str
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    steady: int = 0
    steady_ns: int = 0
    gap_ns: int = 0
    jumps: int = 0
    fields: list[FieldInfo] = dataclasses.field(default_factory=list)
    note: str = ""
    other_types: set[str] = dataclasses.field(default_factory=set)


class TopicSurvey:
    """Gathers what `thresher inspect` tells of a message log."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}

    def add(self, topic: str, type_name: str, time_ns: int) -> bool:
        """Counts a message; returns whether the topic's fields are yet unknown."""
        known = self._topics.setdefault(topic, _Topic(type_name))
        if type_name != known.type:
            known.other_types.add(type_name)
        if known.count:
            step = time_ns - known.last_ns
            if abs(step) > JUMP_NS:
                known.jumps += 1
            else:
                known.steady += 1
                known.steady_ns += step
                known.gap_ns = max(known.gap_ns, step)
        else:
            known.first_ns = time_ns
        known.count += 1
        known.last_ns = time_ns
        return not known.fields and not known.note

    def add_silent(self, topic: str, type_name: str) -> None:
        """Adds a topic that may have no messages."""
        known = self._topics.setdefault(topic, _Topic(type_name))
        if not known.count:
            known.note = "no messages"

    def show(self, topic: str, message: Any) -> None:
        """Takes the fields from a decoded message."""
        found = list(_leaves(topic, message, (), 0))
        self._topics[topic].fields = found[:_MAX_FIELDS]
        if len(found) > _MAX_FIELDS:
            self._topics[topic].note = f"{len(found) - _MAX_FIELDS} more fields"

    def cannot_show(self, topic: str, reason: str) -> None:
        """Notes why a topic's fields are not known."""
        self._topics[topic].note = reason

    def fields(self) -> list[FieldInfo]:
        """Returns a line for each topic, followed by its fields."""
        lines: list[FieldInfo] = []
        for name in sorted(self._topics):
            lines += self._lines(name, self._topics[name])
        return lines

    def _lines(self, name: str, topic: _Topic) -> list[FieldInfo]:
        rate = topic.steady / topic.steady_ns * 1e9 if topic.steady_ns > 0 else 0.0
        whole = [field for field in topic.fields if field.name == name]
        parts = [field for field in topic.fields if field.name != name]
        head = whole[0] if whole else FieldInfo(name, topic.type, None)
        # A picture's own encoding is said beside the type of its message.
        note = topic.note or (head.type if head.is_image else "")
        head = dataclasses.replace(head, type=topic.type, note=note)
        return [
            dataclasses.replace(
                field,
                count=topic.count,
                rate_hz=rate,
                largest_gap_seconds=topic.gap_ns / 1e9,
            )
            for field in [head, *parts]
        ]

    def notes(self) -> list[str]:
        """Returns sentences about clocks that jump, and topics of several types."""
        return [
            f"{name}: its messages are of several types: {topic.type}, "
            f"{', '.join(sorted(topic.other_types))}; the fields shown are of the first"
            for name, topic in sorted(self._topics.items())
            if topic.other_types
        ] + [
            f"{name}: the log time jumps by more than a year {topic.jumps} times; "
            "messages whose clock was never set are left out of episodes"
            for name, topic in sorted(self._topics.items())
            if topic.jumps
        ]


def _leaves(
    topic: str, value: Any, steps: tuple[str, ...], depth: int
) -> Iterator[FieldInfo]:
    names = [] if is_image(value) or is_time(value) else field_names(value)
    name = _written(topic, steps)
    if not names:
        yield _leaf(topic, name, value)
        return
    inner = [value[n] if isinstance(value, dict) else getattr(value, n) for n in names]
    numeric = _flat_size(topic, name, value) if _belongs_together(inner) else 0
    if numeric > 1 or (numeric == 1 and len(names) > 1):
        yield FieldInfo(name, "numbers", (numeric,), note=", ".join(names))
    # A vector's x, y and z are said in one line.
    if depth < _MAX_DEPTH and (numeric != len(names) or numeric == 1):
        for part, child in zip(names, inner):
            yield from _leaves(topic, child, (*steps, part), depth + 1)


def _belongs_together(parts: list[Any]) -> bool:
    """Whether parts are one vector: all scalars, or all messages such as a pose's."""
    is_scalar = [isinstance(part, (bool, int, float, np.generic)) for part in parts]
    return all(is_scalar) or all(field_names(part) for part in parts)


def _written(topic: str, steps: tuple[str, ...]) -> str:
    parts = [f"['{s}']" if "." in s or "[" in s else f".{s}" for s in steps]
    return topic + "".join(parts)


def _leaf(topic: str, name: str, value: Any) -> FieldInfo:
    try:
        read = FieldReader(FieldPath(name, topic, ()))(value)
    except (FieldValueError, ImageValueError, UserError) as error:
        note = str(error)
        if _of_records(value):
            parts = ", ".join(field_names(value[0]))
            note = (
                f"{len(value)} entries of: {parts}; choose one with [0] or [key=value]"
            )
        kind = "list" if isinstance(value, Sequence) else type(value).__name__
        return FieldInfo(name, kind, None, note=note)
    if isinstance(read, bytes):
        return FieldInfo(name, sniff(read), picture_shape(read), is_image=True)
    if isinstance(read, np.ndarray):
        is_depth = read.ndim == 3
        kind = "str" if read.dtype.kind == "O" else str(read.dtype)
        return FieldInfo(name, kind, read.shape, is_image=is_depth)
    kind = "time (ns)" if is_time(value) else type(read).__name__
    return FieldInfo(name, kind if read is not MISSING else "", ())


def _of_records(value: Any) -> bool:
    # A protobuf message's lists are sequences of a type of their own.
    is_list = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return is_list and bool(value) and bool(field_names(value[0]))


def _flat_size(topic: str, name: str, value: Any) -> int:
    try:
        read = FieldReader(FieldPath(name, topic, ()))(value)
    except (FieldValueError, ImageValueError, UserError):
        return 0
    return read.size if isinstance(read, np.ndarray) and read.dtype.kind != "O" else 0
