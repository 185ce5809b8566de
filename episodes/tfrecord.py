"""TFRecord files, written and read without TensorFlow, trusting no length in them.

A record is its length (uint64, little-endian), a masked CRC-32C of the length, the
data, and a masked CRC-32C of the data. Source: tensorflow/core/lib/io/record_writer.h.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Optional

import google_crc32c

HEAD_BYTES = 12
TAIL_BYTES = 4
_BUFFER_BYTES = 1 << 20
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")


class DamagedRecordError(ValueError):
    """A record whose bytes fail a checksum, or a file that ends inside one."""


def frame(record: bytes) -> tuple[bytes, bytes]:
    """Returns what stands before and behind a record in a file."""
    length = _LENGTH.pack(len(record))
    return length + _masked_crc(length), _masked_crc(record)


def framed(record: bytes) -> bytes:
    """Returns a record as it stands in a file."""
    head, tail = frame(record)
    return head + record + tail


def records(
    path: Path, seen: Optional[Callable[[bytes], None]] = None
) -> Iterator[tuple[int, bytes]]:
    """Yields (offset, record) of a file, one in memory at a time.

    Args:
      path: The file.
      seen: Is given every byte of the file, in order.

    Raises:
      DamagedRecordError: A checksum fails or the file is cut off; records before that
        were whole.
    """
    size = path.stat().st_size
    offset = 0
    with open(path, "rb", buffering=_BUFFER_BYTES) as file:
        while offset < size:
            head, record, tail = _next(file, path.name, offset, size)
            if seen is not None:
                for part in (head, record, tail):
                    seen(part)
            yield offset, record
            offset += HEAD_BYTES + len(record) + TAIL_BYTES


def read_record(file: BinaryIO, offset: int, length: int) -> bytes:
    """Returns a record, its checksums checked.

    Args:
      file: An open TFRecord file.
      offset: First byte of its frame.
      length: Of the record, without its frame.

    Raises:
      DamagedRecordError: There is no such record there.
    """
    name = getattr(file, "name", "file")
    # An index may say anything: nothing is read, or made room for, on its word alone.
    whole = HEAD_BYTES + length + TAIL_BYTES
    if min(offset, length) < 0 or offset + whole > os.fstat(file.fileno()).st_size:
        raise DamagedRecordError(
            f"{name} holds no record of {length:,} bytes at byte {offset:,}"
        )
    file.seek(offset)
    # A small record at once, a large one without copying it.
    whole_frame = file.read(whole) if whole <= _BUFFER_BYTES else b""
    head = whole_frame[:HEAD_BYTES] or file.read(HEAD_BYTES)
    _check_head(head, name, offset)
    if _LENGTH.unpack(head[:8])[0] != length:
        raise DamagedRecordError(f"{name}: no record of {length} bytes at {offset}")
    if whole_frame:
        record, tail = whole_frame[HEAD_BYTES:-TAIL_BYTES], whole_frame[-TAIL_BYTES:]
    else:
        record, tail = file.read(length), file.read(TAIL_BYTES)
    if len(record) + len(tail) != length + TAIL_BYTES:
        raise DamagedRecordError(f"{name} ends inside the record at byte {offset}")
    _check_data(record, tail, name, offset)
    return record


def _next(
    file: BinaryIO, name: str, offset: int, size: int
) -> tuple[bytes, bytes, bytes]:
    head = file.read(HEAD_BYTES)
    if len(head) < HEAD_BYTES:
        raise DamagedRecordError(f"{name} ends inside the record at byte {offset}")
    _check_head(head, name, offset)
    length = _LENGTH.unpack(head[:8])[0]
    if length > size - offset - HEAD_BYTES - TAIL_BYTES:
        raise DamagedRecordError(f"{name} ends inside the record at byte {offset}")
    record = file.read(length)
    tail = file.read(TAIL_BYTES)
    _check_data(record, tail, name, offset)
    return head, record, tail


def _check_head(head: bytes, name: str, offset: int) -> None:
    if _masked_crc(head[:8]) != head[8:]:
        raise DamagedRecordError(
            f"{name}: the length of the record at byte {offset} fails its checksum"
        )


def _check_data(record: bytes, crc: bytes, name: str, offset: int) -> None:
    if _masked_crc(record) != crc:
        raise DamagedRecordError(
            f"{name}: the record at byte {offset} fails its checksum"
        )


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return _CRC.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
