"""Reads the beginning of a recording, to see which fields a mapping could take."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from thresher.episodes.errors import UserError
from thresher.episodes.images import EncodedImages
from thresher.pipelines.ingest.guesses import is_action, is_ending, is_reward
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
_WHOLE = ("int", "int64", "uint64")
_WHOLE_OR_NOT = (*_WHOLE, "float", "numbers")
_EXACT_IN_FLOAT32, _EXACT = 2**24, 2**53
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
    """Returns the fields whose values have one shape and are finite.

    Numbers of which nothing may declare the type get one that holds those that were
    seen: whole ones float64, for later ones may have decimals, or int64 beyond 2^53.
    """
    unfit: set[str] = set()
    largest: dict[str, float] = {}
    decimal: set[str] = set()
    shapes: dict[str, Any] = {}
    for message in _some(log, [field.name for field in fields]):
        if message.problem:
            unfit |= {f.name for f in fields if f.name.startswith(message.topic)}
        for name, value in message.values.items():
            shape = "picture" if isinstance(value, bytes) else np.shape(value)
            if shapes.setdefault(name, shape) != shape or not _is_finite(value):
                unfit.add(name)
            largest[name] = max(largest.get(name, 0.0), _largest(value))
            if np.asarray(value).dtype.kind == "f":
                decimal.add(name)
    return [
        _undeclared(f, largest[f.name], f.name not in decimal)
        if f.type in _WHOLE_OR_NOT
        else f
        for f in fields
        if f.name in shapes and f.name not in unfit
    ]


def _undeclared(field: FieldInfo, largest: float, is_whole: bool) -> FieldInfo:
    """Returns a field with a type that holds numbers of a size, and later decimals."""
    if is_whole and largest >= _EXACT:
        return dataclasses.replace(field, type="int64")
    if field.type in _WHOLE or largest >= _EXACT_IN_FLOAT32:
        return dataclasses.replace(field, type="float64")
    return field


def _largest(value: Any) -> float:
    """Returns the magnitude of the largest number; 0 for what holds none."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or not array.size:
        return 0.0
    return max(abs(float(array.max())), abs(float(array.min())))


def _is_finite(value: Any) -> bool:
    if isinstance(value, (bytes, str)):
        return True
    array = np.asarray(value)
    return array.dtype.kind in "bui" or (
        array.dtype.kind == "f" and bool(np.isfinite(array).all())
    )


def first_rows(
    table: Any, fields: Sequence[FieldInfo]
) -> tuple[list[FieldInfo], str, dict[str, int]]:
    """Returns the fields of a table's first readable episode, and its alignment.

    Fields are those whose rows belong together: as many as there are observations, or,
    for actions and rewards, one less. The alignment is 'n_plus_one' or 'sar'. Last come
    the rows of each field that was left out.
    """
    streams = _first_streams(table, [field.name for field in fields])
    if not streams:
        return list(fields), "sar", {}
    fields = [_as_read(f, streams[f.name]) for f in fields if f.name in streams]
    counts = {name: len(stream.times_ns) for name, stream in streams.items()}
    follows = [f for f in fields if is_action(f) or is_reward(f) or is_ending(f)]
    observed = [f for f in fields if f not in follows]
    rows = max((counts[f.name] for f in observed), default=0)
    shorter = [f for f in follows if counts[f.name] == rows - 1]
    alignment = "n_plus_one" if shorter else "sar"
    fitting = shorter or [f for f in follows if counts[f.name] == rows]
    kept = [f for f in observed if counts[f.name] == rows] + fitting
    left = {f.name: counts[f.name] for f in fields if f not in kept}
    return [f for f in fields if f in kept], alignment, left


def _first_streams(table: Any, names: Sequence[str]) -> dict[str, Stream]:
    for pointer in itertools.islice(table.pointers(), _TRIED_SEGMENTS):
        try:
            return dict(table.read(pointer, names).streams)
        except DamagedRecordingError:
            continue
        except UserError:
            return {}
    return _each_alone(table, names)


def _each_alone(table: Any, names: Sequence[str]) -> dict[str, Stream]:
    """Returns what can be read of the first episode: one field may spoil the others."""
    streams: dict[str, Stream] = {}
    for pointer in itertools.islice(table.pointers(), 1):
        for name in names:
            with contextlib.suppress(UserError):
                streams.update(table.read(pointer, [name]).streams)
    return streams


def _as_read(field: FieldInfo, stream: Stream) -> FieldInfo:
    """Returns a field with the type and shape that it really has."""
    values = stream.values
    if isinstance(values, EncodedImages):
        shape = picture_shape(values.frames[0]) if values.frames else None
        return dataclasses.replace(
            field, type=values.encoding, shape=shape or field.shape, is_image=True
        )
    read = dataclasses.replace(
        field, type=str(values.dtype), shape=tuple(values.shape[1:])
    )
    # Of a text table, only the rows that were read say what a column holds.
    if read.type == "int64" and field.type == "number":
        return _undeclared(read, _largest(values), is_whole=True)
    if read.type == "uint64" and values.size and values.max() > np.iinfo(np.int64).max:
        return dataclasses.replace(read, type="float64")
    return read
