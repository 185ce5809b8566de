"""The records of a ROS 1 bag, found by their heads; lengths are checked before use.

The index at a bag's end is not needed, so that bags that were cut off, or never closed,
are read like any other.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from thresher.pipelines.ingest.compression import CompressionError, decompress
from thresher.pipelines.ingest.recording import DamagedRecordingError

MAGIC = b"#ROSBAG V"
VERSION = b"#ROSBAG V2.0\n"
MESSAGE, HEADER, INDEX, CHUNK, CHUNK_INFO, CONNECTION = 2, 3, 4, 5, 6, 7
_LENGTH = struct.Struct("<I")
_TIME = struct.Struct("<II")
_INDEX_ENTRY = 12
# The head of a message as every recorder writes it, in whatever order: reading it at
# once is several times faster than field by field.
_USUAL_HEAD = re.compile(
    rb"(?:\x04\0\0\0op=(.)|\x09\0\0\0conn=(.{4})|\x0d\0\0\0time=(.{8}))+", re.DOTALL
)
# Heads hold a handful of names; connections hold message definitions.
_MAX_HEAD_BYTES = 1 << 20
_MAX_CONNECTION_BYTES = 16 << 20


class RecordError(ValueError):
    """A record that is not what its head says."""


@dataclasses.dataclass(frozen=True)
class Connection:
    """A connection: a publisher's topic and type.

    Attributes:
      topic: The topic.
      type: 'sensor_msgs/Image'.
      definition: The type and those it uses.
    """

    topic: str
    type: str
    definition: str


@dataclasses.dataclass
class ChunkPlace:
    """Where a chunk is.

    Attributes:
      offset: Where its record begins.
      data: Where its compressed bytes begin.
      length: How many they are.
      compression: 'none', 'bz2' or 'lz4'.
      size: Bytes inside, as it says.
      start_ns: Its earliest message, by the index behind it; -1 without one.
    """

    offset: int
    data: int
    length: int
    compression: str
    size: int
    start_ns: int = -1


@dataclasses.dataclass
class Skeleton:
    """What a bag holds, from its heads alone.

    Attributes:
      chunks: In file order.
      connections: By number, from outside chunks.
      damage: Where the heads could not be followed to the end; empty if whole.
    """

    chunks: list[ChunkPlace] = dataclasses.field(default_factory=list)
    connections: dict[int, Connection] = dataclasses.field(default_factory=dict)
    damage: str = ""


def read_skeleton(path: Path) -> Skeleton:
    """Follows the heads of a bag's records without reading its messages.

    Raises:
      DamagedRecordingError: It is empty, no bag, of version 1, or encrypted.
    """
    size = path.stat().st_size
    skeleton = Skeleton()
    with open(path, "rb") as file:
        _check_version(path, file.read(len(VERSION)))
        offset = len(VERSION)
        while offset < size:
            try:
                offset = _note(path, file, size, offset, skeleton)
            except RecordError as error:
                skeleton.damage = (
                    f"the bag ends, or is damaged, at byte {offset} of {size} ({error})"
                )
                break
    return skeleton


def _check_version(path: Path, magic: bytes) -> None:
    if magic == VERSION:
        return
    if magic[: len(MAGIC)] == MAGIC:
        version = magic[len(MAGIC) :].split(b"\n")[0].decode("ascii", "replace")
        raise DamagedRecordingError(
            f"{path} is a bag of version {version!r}; only 2.0 is read: turn it into "
            "one with `rosbag fix` of ROS 1"
        )
    found = f"it starts with {magic[:9]!r}" if magic else "it is empty"
    raise DamagedRecordingError(
        f"{path} is not a ROS 1 bag: {found}; copy it again from the recorder"
    )


def _note(
    path: Path, file: BinaryIO, size: int, offset: int, skeleton: Skeleton
) -> int:
    """Notes the record at an offset; returns where the next begins."""
    file.seek(offset)
    head, data_bytes = _head_at(file, size)
    data = file.tell()
    if data + data_bytes > size:
        raise RecordError(f"a record of {data_bytes} bytes, {size - data} are left")
    op = _number(head, "op", 1)
    if op == HEADER and head.get("encryptor"):
        raise DamagedRecordingError(
            f"{path} is encrypted by {head['encryptor']!r}; decrypt it first"
        )
    if op == CHUNK:
        skeleton.chunks.append(
            ChunkPlace(
                offset=offset,
                data=data,
                length=data_bytes,
                compression=head.get("compression", b"").decode("ascii", "replace"),
                size=_number(head, "size", 4),
            )
        )
    elif op == INDEX and skeleton.chunks:
        _note_start(file, data_bytes, skeleton.chunks[-1])
    elif op == CONNECTION and data_bytes < _MAX_CONNECTION_BYTES:
        number, connection = parse_connection(head, file.read(data_bytes))
        skeleton.connections.setdefault(number, connection)
    return data + data_bytes


def _head_at(file: BinaryIO, size: int) -> tuple[dict[str, bytes], int]:
    (length,) = _LENGTH.unpack(_exactly(file, 4))
    if length > min(_MAX_HEAD_BYTES, size - file.tell()):
        raise RecordError(f"a head of {length} bytes")
    head = parse_head(_exactly(file, length))
    (data_bytes,) = _LENGTH.unpack(_exactly(file, 4))
    return head, data_bytes


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise RecordError(f"{len(data)} bytes where {count} are due")
    return data


def _note_start(file: BinaryIO, length: int, chunk: ChunkPlace) -> None:
    """Takes the earliest time from an index record: (time, offset) pairs."""
    entries = file.read(min(length, 1 << 24))
    times = [
        _nanoseconds(entries, at)
        for at in range(0, len(entries) - _INDEX_ENTRY + 1, _INDEX_ENTRY)
    ]
    earliest = min(times, default=-1)
    if earliest >= 0 and (chunk.start_ns < 0 or earliest < chunk.start_ns):
        chunk.start_ns = earliest


def _nanoseconds(data: bytes, at: int) -> int:
    seconds, nanoseconds = _TIME.unpack_from(data, at)
    return int(seconds) * 10**9 + int(nanoseconds)


def parse_head(data: bytes) -> dict[str, bytes]:
    """Returns the fields of a record's head.

    Raises:
      RecordError: A field is longer than the head, or no field.
    """
    fields: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise RecordError("a head that ends inside a field")
        (length,) = _LENGTH.unpack_from(data, at)
        at += 4
        name, equals, value = data[at : at + length].partition(b"=")
        if not equals or at + length > len(data):
            raise RecordError(f"a field of {length} bytes in a head of {len(data)}")
        fields[name.decode("ascii", "replace")] = value
        at += length
    return fields


def _number(head: Mapping[str, bytes], name: str, size: int) -> int:
    value = head.get(name, b"")
    if len(value) != size:
        raise RecordError(f"a head without {name!r}")
    return int.from_bytes(value, "little")


def parse_connection(head: Mapping[str, bytes], data: bytes) -> tuple[int, Connection]:
    """Returns the number of a connection record and what it says.

    Raises:
      RecordError: A field is missing.
    """
    inner = parse_head(data)
    topic = inner.get("topic", head.get("topic", b""))
    topic = head.get("topic", topic)
    return _number(head, "conn", 4), Connection(
        re.sub("/+", "/", topic.decode("utf-8", "replace")),
        inner.get("type", b"").decode("utf-8", "replace"),
        inner.get("message_definition", b"").decode("utf-8", "replace"),
    )


def read_chunk(file: BinaryIO, place: ChunkPlace) -> bytes:
    """Returns the records inside a chunk.

    Raises:
      CompressionError: Its content is not what it says.
    """
    file.seek(place.data)
    return decompress(file.read(place.length), place.compression, place.size)


def split_chunk(content: bytes) -> Iterator[tuple[dict[str, bytes], int, int]]:
    """Yields (head, start, end) of the data of a chunk's records.

    Raises:
      CompressionError: A record says it is longer than what is there.
    """
    at, size = 0, len(content)
    while at < size:
        try:
            (length,) = _LENGTH.unpack_from(content, at)
            head = _head(content[at + 4 : at + 4 + length])
            at += 4 + length
            (length,) = _LENGTH.unpack_from(content, at)
        except (struct.error, RecordError) as error:
            raise CompressionError(
                f"is damaged at byte {at} of its content ({error})"
            ) from error
        at += 4
        if at + length > size:
            raise CompressionError(f"holds a record of {length} bytes at its byte {at}")
        yield head, at, at + length
        at += length


def _head(data: bytes) -> dict[str, bytes]:
    usual = _USUAL_HEAD.fullmatch(data)
    if usual is None:
        return parse_head(data)
    op, connection, time = usual.groups()
    return {"op": op, "conn": connection, "time": time}


def message_of(head: Mapping[str, bytes]) -> tuple[int, int]:
    """Returns the connection and time (ns) of a message record's head.

    Raises:
      RecordError: A field is missing.
    """
    time, connection = head.get("time"), head.get("conn")
    if not time or len(time) != _TIME.size or not connection or len(connection) != 4:
        raise RecordError("a message without a connection or a time")
    seconds, nanoseconds = _TIME.unpack(time)
    return int.from_bytes(connection, "little"), seconds * 10**9 + nanoseconds
