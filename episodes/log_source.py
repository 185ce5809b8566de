"""What a raw log was made from, said once at its end: only then was all of it read.

An MCAP metadata record, 'thresher.source', holds the SHA-256 of the recording that the
log's episodes were converted from. The file's own index leads to it.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Footer, Metadata, MetadataIndex, SummaryOffset

from thresher.episodes.log_chunks import RECORD_HEADER, records_of

SOURCE_METADATA = "thresher.source"
MAGIC = b"\x89MCAP0\r\n"
_FOOTER_BYTES = RECORD_HEADER.size + 8 + 8 + 4 + len(MAGIC)
# What leads to the record is a few hundred bytes; more is damage.
_MOST_BYTES = 1 << 20


def source_record(digest: str) -> dict[str, str]:
    """Returns what the metadata record says of a source with this SHA-256."""
    # Records outside chunks carry no checksum of their own.
    return {"sha256": digest, "crc32": f"{zlib.crc32(digest.encode()):08x}"}


def source_digest(path: Path) -> str:
    """Returns the SHA-256 of what a log was made from; empty if it does not say.

    Raises:
      ValueError: It says one that fails its checksum.
    """
    with open(path, "rb") as file:
        for record in _metadata_at_the_end(file, path.stat().st_size):
            if record.name == SOURCE_METADATA:
                digest = record.metadata.get("sha256", "")
                if record.metadata != source_record(digest):
                    raise ValueError("the digest of its source fails its checksum")
                return str(digest)
    return ""


def _metadata_at_the_end(file: BinaryIO, size: int) -> Iterator[Metadata]:
    """Yields the records that the index of metadata leads to, the last first."""
    if size < _FOOTER_BYTES:
        return
    tail = _read(file, size - _FOOTER_BYTES, _FOOTER_BYTES)
    if tail[0] != Opcode.FOOTER or not tail.endswith(MAGIC):
        return  # A log that was cut off.
    footer = Footer.read(_body(tail))
    start = footer.summary_offset_start
    groups = _read(file, start, size - _FOOTER_BYTES - start)
    for group in _records(groups, Opcode.SUMMARY_OFFSET):
        offset = SummaryOffset.read(group)
        if offset.group_opcode != Opcode.METADATA_INDEX:
            continue
        indexes = _read(file, offset.group_start, offset.group_length)
        for entry in reversed([*_records(indexes, Opcode.METADATA_INDEX)]):
            index = MetadataIndex.read(entry)
            yield Metadata.read(_body(_read(file, index.offset, index.length)))


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    if not 0 <= length <= _MOST_BYTES:
        raise ValueError(f"its index says that {length:,} bytes lead to its source")
    file.seek(start)
    return file.read(length)


def _body(record: bytes) -> ReadDataStream:
    return ReadDataStream(io.BytesIO(record[RECORD_HEADER.size :]))


def _records(data: bytes, opcode: int) -> Iterator[ReadDataStream]:
    """Yields the contents of the records of a kind."""
    try:
        for found, start, stop in records_of(data):
            if stop > len(data):
                raise ValueError("its index is damaged")
            if found == opcode:
                yield ReadDataStream(io.BytesIO(data[start:stop]))
    except struct.error as error:
        raise ValueError("its index is damaged") from error
