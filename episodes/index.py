"""The episode index: one row an episode, the workbench of everything that follows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from thresher.episodes.episode import Episode
from thresher.episodes.files import atomic_write, scratch_beside
from thresher.episodes.measurements import MEASUREMENT_FIELDS, Measurements
from thresher.episodes.memory import release_memory
from thresher.episodes.raw_log import EpisodePointer

_TEXT = pa.string()
_TEXTS = pa.list_(pa.string())
INDEX_SCHEMA = pa.schema(
    [
        pa.field("episode_id", _TEXT, nullable=False),
        pa.field("source_id", _TEXT, nullable=False),
        pa.field("file", _TEXT, nullable=False),
        pa.field("log_digest", _TEXT, nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length_bytes", pa.int64(), nullable=False),
        pa.field("num_steps", pa.int32(), nullable=False),
        pa.field("episode_return", pa.float64(), nullable=False),
        pa.field("success", _TEXT, nullable=False),
        pa.field("label_source", _TEXT, nullable=False),
        pa.field("confidence", pa.float64(), nullable=False),
        pa.field("other_labels", _TEXT, nullable=False),
        pa.field("task", _TEXT, nullable=False),
        pa.field("robot", _TEXT, nullable=False),
        pa.field("scene_id", _TEXT, nullable=False),
        pa.field("object_ids", _TEXTS, nullable=False),
        pa.field("language", _TEXT, nullable=False),
        pa.field("behaviour_kind", _TEXT, nullable=False),
        pa.field("policy_id", _TEXT, nullable=False),
        pa.field("policy_version", _TEXT, nullable=False),
        pa.field("start_time_ns", pa.int64(), nullable=False),
        pa.field("environment", _TEXT, nullable=False),
        pa.field("violations", _TEXTS, nullable=False),
        *MEASUREMENT_FIELDS,
    ]
)
# Rows of one block of Parquet: small enough to read a shard's rows alone.
ROW_GROUP_ROWS = 4096
_BATCH_ROWS = 256
_RELEASED_BYTES = 1 << 20


def index_row(
    episode: Episode,
    pointer: EpisodePointer,
    violations: Iterable[str] = (),
    log_digest: str = "",
    measured: Measurements | None = None,
) -> dict[str, Any]:
    """Returns the row of an episode.

    Args:
      episode: The episode.
      pointer: Where its bytes are.
      violations: The rules that it was found to break.
      log_digest: SHA-256 of the log that holds it.
      measured: What it looks like; None leaves those columns empty.
    """
    metadata = episode.metadata
    return {
        "episode_id": episode.episode_id,
        "source_id": metadata.source_id,
        "file": pointer.file,
        "log_digest": log_digest,
        "offset": pointer.offset,
        "length_bytes": pointer.length,
        "num_steps": episode.num_steps,
        "episode_return": metadata.outcome.episode_return,
        "success": metadata.outcome.success.value,
        "label_source": metadata.outcome.label_source,
        "confidence": metadata.outcome.confidence,
        "other_labels": json.dumps(dict(metadata.other_labels), sort_keys=True),
        "task": metadata.task,
        "robot": metadata.robot,
        "scene_id": metadata.scene_id,
        "object_ids": list(metadata.object_ids),
        "language": metadata.language,
        "behaviour_kind": metadata.behaviour.kind.value,
        "policy_id": metadata.behaviour.policy_id,
        "policy_version": metadata.behaviour.policy_version,
        "start_time_ns": metadata.start_time_ns,
        "environment": json.dumps(dict(metadata.environment), sort_keys=True),
        "violations": list(violations),
        **({} if measured is None else vars(measured)),
    }


def index_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Returns the rows as a table, ordered so that arrival order cannot matter."""
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=INDEX_SCHEMA)
    return table.sort_by([("file", "ascending"), ("offset", "ascending")])


def write_index(table: pa.Table, path: Path) -> None:
    """Writes an index as Parquet, whole or not at all."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    atomic_write(path, sink.getvalue().to_pybytes())


class IndexWriter:
    """Writes an index table by table, in constant memory."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._unreleased = 0

    def write(self, table: pa.Table) -> None:
        """Adds rows of the schema that the index was opened with."""
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        self._unreleased += table.nbytes
        if self._unreleased >= _RELEASED_BYTES:
            release_memory()
            self._unreleased = 0


@contextmanager
def streamed_index(path: Path, schema: pa.Schema) -> Iterator[IndexWriter]:
    """Writes an index table by table, whole or not at all, in constant memory."""
    scratch = scratch_beside(path)
    # Of bytes (summaries) no two are the same, nor is one less than another: a
    # dictionary of them, and bounds in the footer, would only take room.
    named = [_path(field) for field in schema if not pa.types.is_binary(field.type)]
    try:
        with pq.ParquetWriter(
            scratch,
            schema,
            compression="zstd",
            use_dictionary=named,
            write_statistics=named,
        ) as writer:
            yield IndexWriter(writer)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
        release_memory()


def _path(field: pa.Field) -> str:
    """Returns how Parquet names a column."""
    is_list = pa.types.is_list(field.type)
    return f"{field.name}.list.element" if is_list else str(field.name)


def read_index(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Returns an index, or some of its columns, from Parquet."""
    return pq.read_table(path, columns=None if columns is None else list(columns))


def iterate_rows(
    path: Path, start: int, count: int, columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yields some rows of an index, holding a few of them at a time.

    Args:
      path: The index.
      start: The first row.
      count: How many.
      columns: Which columns; None for all.
    """
    file = pq.ParquetFile(path)
    groups: list[int] = []
    first = position = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if position < start + count and position + rows > start:
            first = position if not groups else first
            groups.append(group)
        position += rows
    if not groups:
        return
    position = first
    names = None if columns is None else list(columns)
    for batch in file.iter_batches(_BATCH_ROWS, row_groups=groups, columns=names):
        skipped = min(max(0, start - position), batch.num_rows)
        wanted = batch.slice(skipped, max(0, start + count - position - skipped))
        position += batch.num_rows
        # A row of Python objects is many times its size in the table.
        yield from wanted.to_pylist()
