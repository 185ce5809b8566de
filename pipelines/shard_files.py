"""Files of records: TFRecord and ArrayRecord behind one small interface.

Where a record is (`offset`) means its first byte in a TFRecord and its number in an
ArrayRecord, whose own index finds the bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Optional, Protocol

from thresher.episodes.files import blocks_of, require_plain
from thresher.episodes.tfrecord import frame, read_record
from thresher.episodes.tfrecord import records as tfrecord_records

TFRECORD, ARRAY_RECORD = "tfrecord", "array_record"
_BUFFER_BYTES = 1 << 20


class ShardWriter(Protocol):
    """Writes one file of records; a context manager that closes it."""

    def write(self, record: bytes) -> int:
        """Adds a record; returns where it is."""
        ...

    def __enter__(self) -> ShardWriter:
        """Returns itself."""
        ...

    def __exit__(self, *error: Any) -> None:
        """Closes the file, whose bytes survive a power cut from here."""
        ...


class TfRecordWriter:
    """Writes a TFRecord file, record by record."""

    def __init__(self, path: Path) -> None:
        # Closed by __exit__.
        self._file: BinaryIO = open(path, "wb", _BUFFER_BYTES)  # noqa: SIM115
        self._offset = 0

    def write(self, record: bytes) -> int:
        """Adds a record; returns the first byte of its frame."""
        offset = self._offset
        head, tail = frame(record)
        for part in (head, record, tail):
            self._file.write(part)
            self._offset += len(part)
        return offset

    def __enter__(self) -> TfRecordWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()


class ArrayRecordWriter:
    """Writes an ArrayRecord file; each record is a group of its own, as TFDS reads."""

    def __init__(self, path: Path) -> None:
        from array_record.python import array_record_module

        # One thread and no compression: the bytes depend on the records alone.
        options = "group_size:1,uncompressed,max_parallelism:1"
        self._writer = array_record_module.ArrayRecordWriter(str(path), options)
        self._path = path
        self._count = 0

    def write(self, record: bytes) -> int:
        """Adds a record; returns its number."""
        self._writer.write(record)
        self._count += 1
        return self._count - 1

    def __enter__(self) -> ArrayRecordWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        with open(self._path, "rb") as file:
            os.fsync(file.fileno())


def shard_writer(path: Path, file_format: str) -> TfRecordWriter | ArrayRecordWriter:
    """Returns a writer of a new file."""
    return TfRecordWriter(path) if file_format == TFRECORD else ArrayRecordWriter(path)


def format_of(path: Path) -> str:
    """Returns the format of a shard by its name: 'x-train.tfrecord-00000-of-00001'."""
    return ARRAY_RECORD if f".{ARRAY_RECORD}-" in path.name else TFRECORD


def shard_records(
    path: Path, seen: Optional[Callable[[bytes], None]] = None
) -> Iterator[tuple[int, bytes]]:
    """Yields (offset, record) of a file, a few records in memory at a time.

    Args:
      path: The file.
      seen: Is given every byte of the file, in order.

    Raises:
      ValueError: The file is damaged; records before that were whole.
    """
    require_plain(path)
    if format_of(path) == TFRECORD:
        yield from tfrecord_records(path, seen)
        return
    if seen is not None:
        for block in blocks_of(path):
            seen(block)
    reader = _array_reader(path)
    try:
        for number in range(reader.num_records()):
            yield number, _array_record(reader, path, number)
    finally:
        reader.close()


class RecordReader:
    """Reads single records of one file, by where they are; a context manager."""

    def __init__(self, path: Path) -> None:
        require_plain(path)
        self._path = path
        self._is_tfrecord = format_of(path) == TFRECORD
        self._file: Any = (
            open(path, "rb")  # noqa: SIM115  # closed by close()
            if self._is_tfrecord
            else _array_reader(path)
        )

    def record(self, offset: int, length: int) -> bytes:
        """Returns a record; raises ValueError where it is damaged."""
        if self._is_tfrecord:
            return read_record(self._file, offset, length)
        return _array_record(self._file, self._path, offset)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def record_digest(record: bytes) -> str:
    """Returns 32 hexadecimal digits of a record's bytes."""
    return hashlib.sha256(record).hexdigest()[:32]


def _array_reader(path: Path) -> Any:
    from array_record.python import array_record_module

    try:
        return array_record_module.ArrayRecordReader(str(path))
    # The library raises what its C++ layer gives: RuntimeError, ValueError, …
    except (RuntimeError, ValueError, OSError) as error:
        raise ValueError(f"{path.name}: {error}") from error


def _array_record(reader: Any, path: Path, number: int) -> bytes:
    try:
        return bytes(reader.read([number])[0])
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"{path.name}, record {number}: {error}") from error
