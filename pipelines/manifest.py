"""What the writer of a shard says of it: where records are, digests, statistics."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from thresher.episodes.files import scratch_beside

_SCHEMA = pa.schema(
    [
        pa.field("record_offset", pa.int64()),
        pa.field("record_length", pa.int64()),
        pa.field("record_digest", pa.string()),
        pa.field("summary", pa.binary()),
    ]
)
_STATISTICS = "statistics"
# A summary takes kilobytes: rows that are read, and held, at once.
BLOCK_ROWS = 256


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a shard's writer said about it.

    Attributes:
      statistics: Packed summary of all its episodes.
      records: Columns record_offset, record_length, record_digest, summary, or those
        that were asked for.
    """

    statistics: bytes
    records: pa.Table


class ManifestWriter:
    """Writes a manifest while its shard is written, in constant memory.

    A context manager. The manifest appears when `finish` is called, whole.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._scratch = path, scratch_beside(path)
        self._pending: list[tuple[int, int, str, bytes]] = []
        # No value comes twice: a dictionary would only take time and memory.
        self._writer = pq.ParquetWriter(
            self._scratch,
            _SCHEMA,
            compression="zstd",
            use_dictionary=False,
            write_statistics=False,
        )

    def __enter__(self) -> ManifestWriter:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes what was not finished."""
        self._writer.close()
        self._scratch.unlink(missing_ok=True)

    def add(self, offset: int, length: int, digest: str, summary: bytes) -> None:
        """Adds the shard's next record.

        Args:
          offset: Where its frame begins in the shard.
          length: Its bytes, without the frame.
          digest: See `record_digest`.
          summary: Packed summary of its episode.
        """
        self._pending.append((offset, length, digest, summary))
        if len(self._pending) == BLOCK_ROWS:
            self._flush()

    def finish(self, statistics: bytes) -> None:
        """Lets the manifest appear.

        Args:
          statistics: Packed summary of all its episodes.
        """
        self._flush()
        text = base64.b64encode(statistics).decode()
        self._writer.add_key_value_metadata({_STATISTICS: text})
        self._writer.close()
        self._scratch.replace(self._path)

    def _flush(self) -> None:
        if self._pending:
            columns = zip(zip(*self._pending), _SCHEMA)
            arrays = [pa.array(values, field.type) for values, field in columns]
            self._writer.write_table(pa.table(arrays, schema=_SCHEMA))
            self._pending = []


def read_manifest(path: Path, columns: Sequence[str] | None = None) -> Manifest:
    """Reads a shard's manifest, or some columns of its records."""
    facts = pq.read_metadata(path).metadata
    return Manifest(
        base64.b64decode(facts[_STATISTICS.encode()]),
        pq.read_table(path, columns=None if columns is None else list(columns)),
    )


def manifest_digests(path: Path) -> Iterator[str]:
    """Yields the records' digests, holding some of them at a time."""
    file = pq.ParquetFile(path)
    for batch in file.iter_batches(BLOCK_ROWS, columns=["record_digest"]):
        yield from batch.column(0).to_pylist()
