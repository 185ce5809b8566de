"""Where the records of a TFRecord file are, by their heads alone.

`episodes/tfrecord.py` says what a frame is; here only lengths are read, so that a
dataset of any size is listed at the speed of seeking.
"""

from __future__ import annotations

import dataclasses
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Union

import google_crc32c

from thresher.episodes.tfrecord import (
    HEAD_BYTES,
    TAIL_BYTES,
    DamagedRecordError,
    read_record,
)

_HEAD = struct.Struct("<QI")


@dataclasses.dataclass(frozen=True)
class RecordPlace:
    """One record, or the rest of a file that is none.

    Attributes:
      offset: First byte of its frame.
      length: Bytes of the record, without the frame.
      problem: Why nothing can be read from here on; empty for a record.
    """

    offset: int
    length: int
    problem: str = ""


def record_places(path: Path) -> Iterator[RecordPlace]:
    """Yields where each record is; the last one tells of damage, if there is any."""
    size = path.stat().st_size
    offset = 0
    with open(path, "rb", buffering=0) as file:
        while offset < size:
            place = _place(file, offset, size)
            yield place
            if place.problem:
                return
            offset += HEAD_BYTES + place.length + TAIL_BYTES


def place_at(path: Path, offset: int) -> RecordPlace:
    """Returns the record whose frame starts at a byte."""
    with open(path, "rb", buffering=0) as file:
        return _place(file, offset, path.stat().st_size)


def _place(file: Union[BinaryIO, io.FileIO], offset: int, size: int) -> RecordPlace:
    file.seek(offset)
    head = file.read(HEAD_BYTES)
    problem = _problem(head, size - offset)
    length = size - offset if problem else int(_HEAD.unpack(head)[0])
    return RecordPlace(offset, length, problem)


def records_between(path: Path, first: int, last: int) -> Iterator[bytes]:
    """Yields the records whose frames lie between two bytes, checksums checked.

    Raises:
      DamagedRecordError: One is damaged, or frames do not end where they should.
    """
    size = path.stat().st_size
    offset = first
    with open(path, "rb") as file:
        while offset < last:
            place = _place(file, offset, size)
            if place.problem:
                raise DamagedRecordError(
                    f"{path.name} at byte {offset}: {place.problem}"
                )
            yield read_record(file, offset, place.length)
            offset += HEAD_BYTES + place.length + TAIL_BYTES
    if offset != last:
        raise DamagedRecordError(f"{path.name} has no record that ends at byte {last}")


def record_at(path: Path, place: RecordPlace) -> bytes:
    """Returns a record, its checksums checked.

    Raises:
      DamagedRecordError: It is damaged, or there is none.
    """
    if place.problem:
        raise DamagedRecordError(f"{path.name}: {place.problem}")
    with open(path, "rb") as file:
        return read_record(file, place.offset, place.length)


def _problem(head: bytes, left: int) -> str:
    if len(head) < HEAD_BYTES:
        return f"the file ends inside the head of a record, {left} bytes from its end"
    length, said = _HEAD.unpack(head)
    crc = google_crc32c.value(head[:8])
    if ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF != said:
        return "the length of the next record fails its checksum"
    if length > left - HEAD_BYTES - TAIL_BYTES:
        return f"the file ends inside a record of {length:,} bytes"
    return ""
