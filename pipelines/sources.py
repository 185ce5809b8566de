"""Where a version's episodes come from, as one numbered index.

A source is a folder of raw logs, whose episodes were indexed log by log, or a sealed
version, whose records will be copied as they are. Their rows are joined, batch by
batch, into one Parquet file with a row number; everything after works on columns of
that file, so no step holds more of it than it needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from thresher.episodes.errors import UserError
from thresher.episodes.index import INDEX_SCHEMA, ROW_GROUP_ROWS, streamed_index
from thresher.episodes.version import (
    EPISODES,
    SUMMARIES,
    require_plausible_rows,
    side_files,
)
from thresher.pipelines.ingest.reader import OXE_SHARDS
from thresher.pipelines.parent_index import PARENT_COLUMNS, ParentIndex
from thresher.pipelines.sound_rows import require_sound

_TEXT = pa.string()
# What a record of a sealed version is copied by; empty for episodes of raw logs.
_COPY_FIELDS = (
    pa.field("shard_file", _TEXT),
    pa.field("record_offset", pa.int64()),
    pa.field("record_length", pa.int64()),
    pa.field("record_digest", _TEXT),
    pa.field("parent_split", _TEXT),
    pa.field("parent_weight", pa.float64()),
    # 0, or which repetition of the episode the record was.
    pa.field("parent_copy", pa.int32()),
    pa.field("summary", pa.binary()),
    # How the recorded episode was relabelled, and its id before that.
    pa.field("relabelled", _TEXT),
    pa.field("recorded_id", _TEXT),
)
MERGED_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        *INDEX_SCHEMA,
        pa.field("source", pa.int32(), nullable=False),
        *_COPY_FIELDS,
    ]
)

_VERSION_SCHEMA = pa.schema([*INDEX_SCHEMA, *_COPY_FIELDS])


@dataclasses.dataclass(frozen=True)
class Source:
    """One source, found.

    Attributes:
      name: As the recipe writes it: the same wherever the data lies.
      root: Folder of the raw logs, or of the sealed version.
      is_version: Which of the two.
      weight: Share in a mix, relative to the others'.
      where: SQL condition; other episodes are left out.
      reader: How raw logs are read; empty for the format's own way.
    """

    name: str
    root: Path
    is_version: bool = False
    weight: float = 1.0
    where: str = ""
    reader: str = ""


def merge_indexes(
    sources: Sequence[Source], indexes: Sequence[Sequence[Path]], path: Path
) -> int:
    """Writes the numbered index of all sources.

    Args:
      sources: In the order of their numbers.
      indexes: For each source of raw logs, the index of each log, in the order of
        their names; empty for sealed versions.
      path: What to write.

    Returns:
      The number of rows.
    """
    row = 0
    with streamed_index(path, MERGED_SCHEMA) as writer:
        for number, (source, files) in enumerate(zip(sources, indexes)):
            if source.is_version:
                tables = _version_tables(source)
            elif source.reader == OXE_SHARDS:
                tables = _gathered(_converted_tables(source, files))
            else:
                tables = _gathered(pq.read_table(file) for file in files)
            for table in tables:
                writer.write(_numbered(table, row, number))
                row += table.num_rows
    return row


def _converted_tables(source: Source, files: Sequence[Path]) -> Iterator[pa.Table]:
    """Yields the index of each shard of a sealed version, nothing lost or slipped in.

    Raises:
      UserError: A shard is not the one that was sealed.
    """
    parent = ParentIndex(source.root)
    for shard, file in zip(parent.shards, files):
        try:
            table = parent.joined(shard, pq.read_table(file))
        except UserError:
            # A shard that is put right may have the size and time of the damaged one.
            file.unlink()
            raise
        yield table


def _gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yields many small tables as fewer large ones: one block of Parquet each."""
    pending: list[pa.Table] = []
    for table in tables:
        rows = sum(part.num_rows for part in pending) + table.num_rows
        if pending and rows > ROW_GROUP_ROWS:
            yield _concat(pending)
            pending = []
        pending.append(table)
    if pending:
        yield _concat(pending)


def _concat(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables([_conformed(table, MERGED_SCHEMA) for table in tables])


def _version_tables(source: Source) -> Iterator[pa.Table]:
    """Yields the rows of a sealed version, believing nothing that it says."""
    with side_files(source.root):
        require_plausible_rows(source.root)
        for table in _rows_with_summaries(source):
            require_sound(table, str(source.root))
            # Here, since columns of other kinds are the version's fault, too.
            yield _conformed(table, _VERSION_SCHEMA)


def _rows_with_summaries(source: Source) -> Iterator[pa.Table]:
    episodes = pq.ParquetFile(source.root / EPISODES)
    summaries = pq.ParquetFile(source.root / SUMMARIES)
    if episodes.metadata.num_rows != summaries.metadata.num_rows:
        raise UserError(
            f"{source.root}: {EPISODES} and {SUMMARIES} hold different numbers of "
            "episodes; restore the version from a good copy"
        )
    rows = zip(
        episodes.iter_batches(ROW_GROUP_ROWS), summaries.iter_batches(ROW_GROUP_ROWS)
    )
    for batch, packed in rows:
        table = pa.Table.from_batches([batch])
        for name, theirs in PARENT_COLUMNS.items():
            table = table.append_column(name, table[theirs])
        yield table.append_column("summary", pa.chunked_array([packed["summary"]]))


def _numbered(table: pa.Table, first: int, source: int) -> pa.Table:
    count = table.num_rows
    for name in ("row", "source"):
        if name in table.column_names:
            table = table.drop_columns([name])
    rows = pa.array(range(first, first + count), pa.int64())
    table = table.append_column("row", rows)
    table = table.append_column("source", pa.array([source] * count, pa.int32()))
    return _conformed(table, MERGED_SCHEMA)


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Returns the schema's columns of a table; what it does not have is empty."""
    columns = [_column(table, field) for field in schema]
    return pa.table(columns, schema=schema)


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name in table.column_names:
        return table[field.name].cast(field.type)
    return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
