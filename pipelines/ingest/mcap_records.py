"""The records of an MCAP file, found by their heads; lengths are checked before use."""

from __future__ import annotations

import dataclasses
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Footer, Metadata, Schema

from thresher.pipelines.ingest.compression import CompressionError, decompress
from thresher.pipelines.ingest.recording import DamagedRecordingError

MAGIC = b"\x89MCAP0\r\n"
_HEAD = struct.Struct("<BQ")
_CHUNK_HEAD = struct.Struct("<QQQII")
_LENGTH = struct.Struct("<Q")
_FOOTER_BYTES = _HEAD.size + 20 + len(MAGIC)
# Schemas, channels and metadata are small; larger ones are damage.
_MAX_SMALL_RECORD = 16 << 20
_SMALL = (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.METADATA)
# What the library raises for a record that is not what it should be.
_MALFORMED = (McapError, struct.error, UnicodeDecodeError, ValueError, KeyError)


@dataclasses.dataclass(frozen=True)
class Stretch:
    """A chunk, or a run of messages outside chunks.

    Attributes:
      offset: Where its first record begins.
      length: Bytes of it, with heads.
      start_ns: Its earliest message, as it says; 0 for a run.
      is_chunk: Which of the two it is.
    """

    offset: int
    length: int
    start_ns: int
    is_chunk: bool


@dataclasses.dataclass
class Skeleton:
    """What a file holds, from its heads alone.

    Attributes:
      stretches: In file order.
      schemas: By id, from outside chunks.
      channels: By id, from outside chunks.
      metadata: Metadata records by name.
      damage: Where and why the heads could not be followed to the end; empty if whole.
    """

    stretches: list[Stretch] = dataclasses.field(default_factory=list)
    schemas: dict[int, Schema] = dataclasses.field(default_factory=dict)
    channels: dict[int, Channel] = dataclasses.field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    damage: str = ""


def read_skeleton(path: Path) -> Skeleton:
    """Follows the heads of a file's records without reading its messages.

    Raises:
      DamagedRecordingError: It is empty or no MCAP file.
    """
    size = path.stat().st_size
    skeleton = Skeleton()
    with open(path, "rb") as file:
        check_magic(path, file.read(len(MAGIC)))
        for opcode, offset, length in _heads(file, size, skeleton):
            _note(file, skeleton, opcode, offset, length)
        if skeleton.damage:
            _add_indexed_chunks(file, size, skeleton)
    return skeleton


def check_magic(path: Path, magic: bytes) -> None:
    """Raises DamagedRecordingError if a file does not start as MCAP files do."""
    if magic != MAGIC:
        found = f"it starts with {magic!r}" if magic else "it is empty"
        raise DamagedRecordingError(
            f"{path} is not an MCAP file: {found}; copy it again from the recorder"
        )


def _heads(
    file: BinaryIO, size: int, skeleton: Skeleton
) -> Iterator[tuple[int, int, int]]:
    offset = len(MAGIC)
    while offset < size:
        file.seek(offset)
        head = file.read(_HEAD.size)
        if head[: len(MAGIC)] == MAGIC:
            return
        opcode, body = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
        length = _HEAD.size + body
        if offset + length > size or opcode == 0:
            break
        yield opcode, offset, length
        offset += length
    skeleton.damage = (
        f"the file ends, or is damaged, at byte {min(offset, size)} of {size}"
    )


def _note(
    file: BinaryIO, skeleton: Skeleton, opcode: int, offset: int, length: int
) -> None:
    if opcode == Opcode.CHUNK:
        start = _LENGTH.unpack(file.read(8).ljust(8, b"\0"))[0]
        skeleton.stretches.append(Stretch(offset, length, start, True))
    elif opcode == Opcode.MESSAGE:
        _note_message(skeleton, offset, length)
    elif length < _MAX_SMALL_RECORD and opcode in _SMALL:
        note_small(skeleton, opcode, file.read(length - _HEAD.size))


def _note_message(skeleton: Skeleton, offset: int, length: int) -> None:
    last = skeleton.stretches[-1] if skeleton.stretches else None
    adjoins = last and not last.is_chunk and last.offset + last.length == offset
    if last and adjoins and last.length < 1 << 20:
        longer = Stretch(last.offset, last.length + length, 0, False)
        skeleton.stretches[-1] = longer
    else:
        skeleton.stretches.append(Stretch(offset, length, 0, False))


def note_small(skeleton: Skeleton, opcode: int, body: bytes) -> None:
    """Notes a schema, channel or metadata record.

    A damaged one is left out: the message that needs it will say so.
    """
    try:
        record = _parse_small(opcode, body)
    except _MALFORMED:
        return
    if isinstance(record, Schema):
        skeleton.schemas.setdefault(record.id, record)
    elif isinstance(record, Channel):
        skeleton.channels.setdefault(record.id, record)
    elif isinstance(record, Metadata):
        skeleton.metadata[record.name] = dict(record.metadata)


def _parse_small(opcode: int, body: bytes) -> Schema | Channel | Metadata:
    stream = ReadDataStream(io.BytesIO(body))
    if opcode == Opcode.SCHEMA:
        return Schema.read(stream)
    return Channel.read(stream) if opcode == Opcode.CHANNEL else Metadata.read(stream)


def _add_indexed_chunks(file: BinaryIO, size: int, skeleton: Skeleton) -> None:
    """Adds the chunks behind the damage that the index at the file's end knows of."""
    if size < _FOOTER_BYTES + len(MAGIC):
        return
    file.seek(size - _FOOTER_BYTES)
    tail = file.read(_FOOTER_BYTES)
    if tail[0] != Opcode.FOOTER or tail[-len(MAGIC) :] != MAGIC:
        return
    summary = Footer.read(ReadDataStream(io.BytesIO(tail[_HEAD.size :]))).summary_start
    last = skeleton.stretches[-1] if skeleton.stretches else None
    behind = last.offset + last.length if last else 0
    known = Skeleton()
    offset = summary
    while len(MAGIC) <= offset < size - _FOOTER_BYTES:
        file.seek(offset)
        opcode, body = _HEAD.unpack(file.read(_HEAD.size))
        if body > min(size - offset, _MAX_SMALL_RECORD):
            return
        content = file.read(body)
        if opcode == Opcode.CHUNK_INDEX:
            _note_indexed(known, content, behind, size)
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            note_small(skeleton, opcode, content)
        offset += _HEAD.size + body
    skeleton.stretches += sorted(known.stretches, key=lambda s: s.offset)


def _note_indexed(known: Skeleton, content: bytes, behind: int, size: int) -> None:
    try:
        index = ChunkIndex.read(ReadDataStream(io.BytesIO(content)))
    except _MALFORMED:
        return
    offset, length = index.chunk_start_offset, index.chunk_length
    if behind <= offset and offset + length <= size:
        known.stretches.append(Stretch(offset, length, index.message_start_time, True))


def read_chunk(content: bytes) -> bytes:
    """Returns the records inside a chunk record's bytes (with its head).

    Raises:
      CompressionError: It is no chunk, or its content is not what it says.
    """
    if len(content) < _HEAD.size + _CHUNK_HEAD.size or content[0] != Opcode.CHUNK:
        raise CompressionError("is no chunk")
    at = _HEAD.size
    _, _, declared, crc, name_bytes = _CHUNK_HEAD.unpack_from(content, at)
    at += _CHUNK_HEAD.size
    name = content[at : at + name_bytes].decode("utf-8", "replace")
    at += name_bytes
    if at + _LENGTH.size > len(content):
        raise CompressionError("ends inside its head")
    (size,) = _LENGTH.unpack_from(content, at)
    at += _LENGTH.size
    if at + size > len(content):
        raise CompressionError(f"says it has {size} bytes and ends before")
    records = decompress(content[at : at + size], name, declared)
    if crc and zlib.crc32(records) != crc:
        raise CompressionError("fails its checksum")
    return records


def split_records(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields (opcode, start, end) of the bodies of records that follow each other.

    Raises:
      CompressionError: A record says it is longer than what is there.
    """
    at, size = 0, len(content)
    while at < size:
        if at + _HEAD.size > size:
            raise CompressionError(f"ends inside a record's head at its byte {at}")
        opcode, length = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        if at + length > size:
            raise CompressionError(f"holds a record of {length} bytes at its byte {at}")
        yield opcode, at, at + length
        at += length


def names_thresher(path: Path) -> bool:
    """Whether the first records say that an MCAP file is a raw log of Thresher's."""
    with open(path, "rb") as file:
        file.seek(len(MAGIC))
        return b"thresher.spec" in file.read(256)
