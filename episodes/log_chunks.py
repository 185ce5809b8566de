"""The records inside an episode's chunk, their size and checksum checked."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk

RECORD_HEADER = struct.Struct("<BQ")
# No episode is larger: whoever reads one holds it in memory.
_MOST_EPISODE_BYTES = 1 << 31
# Channel, sequence, log time, publish time.
_MESSAGE_HEAD_BYTES = 2 + 4 + 8 + 8


def uncompressed(chunk: Chunk) -> bytes:
    """Returns a chunk's records, their checksum checked."""
    data = _decompressed(chunk)
    if zlib.crc32(data) != chunk.uncompressed_crc:
        raise ValueError("its chunk fails its checksum")
    return data


def _decompressed(chunk: Chunk) -> bytes:
    data: bytes = chunk.data
    if chunk.compression == "zstd":
        # A damaged size could ask for any amount of memory.
        size = zstandard.frame_content_size(data)
        if max(size, chunk.uncompressed_size) > _MOST_EPISODE_BYTES:
            raise ValueError(f"it says it unpacks to {size:,} bytes")
        data = zstandard.ZstdDecompressor().decompress(
            data, max_output_size=chunk.uncompressed_size
        )
    elif chunk.compression:
        raise ValueError(f"its compression is {chunk.compression!r}")
    return data


def messages_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields (channel id, content) of the message records of a chunk.

    The library's own reader builds an object of each record, at five times the cost.
    """
    for opcode, start, stop in records_of(data):
        if opcode == Opcode.MESSAGE:
            channel = int.from_bytes(data[start : start + 2], "little")
            yield channel, data[start + _MESSAGE_HEAD_BYTES : stop]


def records_of(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields (opcode, start, stop) of the content of records that follow each other.

    The last one may say that it ends behind the data.
    """
    position = 0
    while position < len(data):
        opcode, length = RECORD_HEADER.unpack_from(data, position)
        start = position + RECORD_HEADER.size
        position = start + length
        yield opcode, start, position


def topics_of(chunk: Chunk) -> dict[int, str]:
    """Returns the topics by channel id, of the channels that stand in a chunk."""
    # Where the first episode is damaged, the others can still be read.
    data = _decompressed(chunk)
    channels = [
        Channel.read(ReadDataStream(io.BytesIO(data[start:stop])))
        for opcode, start, stop in records_of(data)
        if opcode == Opcode.CHANNEL
    ]
    return {channel.id: channel.topic for channel in channels}
