"""Reads the beginning of a recording, to see which fields a mapping could take."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from thresher.episodes.errors import UserError
from thresher.episodes.images import EncodedImages
from thresher.pipelines.ingest.guesses import is_action, is_reward
from thresher.pipelines.ingest.picture import picture_shape
from thresher.pipelines.ingest.recording import (
    Contents,
    DamagedRecordingError,
    FieldInfo,
    MessageLog,
    Stream,
)

# Enough messages to see which fields change their length.
_TRIED_MESSAGES = 5000
_MAX_FRAMES = 8
# A dataset of which only a part was downloaded begins with what is missing.
_TRIED_SEGMENTS = 500


def frames(log: Any, contents: Contents) -> list[FieldInfo]:
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


def steady(log: Any, fields: Sequence[FieldInfo]) -> list[FieldInfo]:
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


def first_rows(table: Any, fields: Sequence[FieldInfo]) -> tuple[list[FieldInfo], str]:
    """Returns the fields of a table's first readable episode, and its alignment.

    Fields are those whose rows belong together: as many as there are observations, or,
    for actions and rewards, one less. The alignment is 'n_plus_one' or 'sar'.
    """
    streams = _first_streams(table, [field.name for field in fields])
    if not streams:
        return list(fields), "sar"
    fields = [_as_read(f, streams[f.name]) for f in fields if f.name in streams]
    counts = {name: len(stream.times_ns) for name, stream in streams.items()}
    follows = [f for f in fields if is_action(f) or is_reward(f)]
    observed = [f for f in fields if f not in follows]
    rows = max((counts[f.name] for f in observed), default=0)
    shorter = [f for f in follows if counts[f.name] == rows - 1]
    alignment = "n_plus_one" if shorter else "sar"
    fitting = shorter or [f for f in follows if counts[f.name] == rows]
    kept = [f for f in observed if counts[f.name] == rows] + fitting
    return [f for f in fields if f in kept], alignment


def _first_streams(table: Any, names: Sequence[str]) -> dict[str, Stream]:
    for pointer in itertools.islice(table.pointers(), _TRIED_SEGMENTS):
        try:
            return dict(table.read(pointer, names).streams)
        except DamagedRecordingError:
            continue
        except UserError:
            return {}
    return {}


def _as_read(field: FieldInfo, stream: Stream) -> FieldInfo:
    """Returns a field with the type and shape that it really has."""
    values = stream.values
    if isinstance(values, EncodedImages):
        shape = picture_shape(values.frames[0]) if values.frames else None
        return dataclasses.replace(
            field, type=values.encoding, shape=shape or field.shape, is_image=True
        )
    return dataclasses.replace(
        field, type=str(values.dtype), shape=tuple(values.shape[1:])
    )
