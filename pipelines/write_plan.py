"""Writes the plan's rows of the index, in the plan's order, in bounded memory.

The index may be larger than memory, and the plan may want its rows in any order. The
plan's places are cut into blocks: the index is read once and each row put aside with
its block, then block after block is put in order.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thresher.episodes.index import ROW_GROUP_ROWS, streamed_index
from thresher.episodes.memory import release_memory
from thresher.pipelines.plan import Plan

# Each is an open file.
_MOST_BLOCKS = 256
# Rows that go to one block at a time: fewer cost more in calls than in bytes.
_ROWS_AT_ONCE = 128
_LEAST_ROWS_AT_ONCE = 1024
_PART_BYTES = 64 << 20
_PLACE, _ROW = "place", "row"
_FLAGS = pa.list_(pa.string())
_PLANNED = (
    pa.field("split", pa.string()),
    pa.field("shard", pa.int32()),
    pa.field("num_shards", pa.int32()),
    pa.field("position", pa.int32()),
    pa.field("copy", pa.int32()),
    pa.field("sampling_weight", pa.float64()),
    pa.field("flags", _FLAGS),
)


def write_plan(
    plan: Plan,
    index: Path,
    weights: np.ndarray,
    flags: Mapping[int, Sequence[str]],
    path: Path,
    most_blocks: int = _MOST_BLOCKS,
) -> None:
    """Writes a plan as Parquet: its rows of the index, and what it says about them.

    Args:
      plan: The plan.
      index: The numbered index.
      weights: Sampling weight by row of the index.
      flags: What checks saw, by row of the index.
      path: What to write; it appears when it is whole.
      most_blocks: Into how many blocks the plan may be cut.
    """
    # Whole groups of rows, so that blocks do not end in small ones.
    groups = -(-len(plan.rows) // ROW_GROUP_ROWS)
    height = -(-groups // most_blocks) * ROW_GROUP_ROWS
    indexed = pq.read_schema(index).remove_metadata()
    indexed = indexed.remove(indexed.get_field_index(_ROW))
    schema = pa.schema([*indexed, *_PLANNED])
    scratch = path.with_name(f".{path.name}.blocks")
    # A killed build may have left some.
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        blocks = _scatter(plan, index, indexed, height, scratch)
        with streamed_index(path, schema) as writer:
            for block in blocks:
                for table in _in_order(block):
                    planned = _planned(plan, table[_PLACE].to_numpy(), weights, flags)
                    columns = [*table.drop_columns([_PLACE]).columns, *planned]
                    writer.write(pa.table(columns, schema=schema))
                block.unlink()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _scatter(
    plan: Plan, index: Path, indexed: pa.Schema, height: int, folder: Path
) -> list[Path]:
    """Puts rows of the index aside, by the block of their place; returns the blocks."""
    blocks = [folder / str(n) for n in range(-(-len(plan.rows) // height))]
    schema = indexed.append(pa.field(_PLACE, pa.int64()))
    with ExitStack() as opened:
        writers = [
            opened.enter_context(pa.ipc.new_stream(str(block), schema))
            for block in blocks
        ]
        starts = np.arange(len(blocks) + 1) * height
        at_once = max(_LEAST_ROWS_AT_ONCE, _ROWS_AT_ONCE * len(blocks))
        for table, places in _placed(plan, index, indexed.names, at_once):
            whole = pa.table([*table.columns, pa.array(places)], schema=schema)
            edges = np.searchsorted(places, starts).tolist()
            for writer, start, stop in zip(writers, edges, edges[1:]):
                if stop > start:
                    writer.write_table(whole.slice(start, stop - start))
            release_memory()
    return blocks


def _placed(
    plan: Plan, index: Path, columns: Sequence[str], batch_rows: int
) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """Yields rows of the index, batch by batch, in the order of their places."""
    by_row = np.argsort(plan.rows, kind="stable")
    wanted = plan.rows[by_row]
    first = reached = 0
    for batch in pq.ParquetFile(index).iter_batches(batch_rows, columns=list(columns)):
        stop = int(np.searchsorted(wanted, first + batch.num_rows))
        places = np.sort(by_row[reached:stop])
        table = pa.Table.from_batches([batch])
        # An episode that is repeated is here as often.
        for some in _parts(places, table):
            yield table.take(pa.array(plan.rows[some] - first)), some
        first, reached = first + batch.num_rows, stop


def _parts(places: np.ndarray, table: pa.Table) -> Iterator[np.ndarray]:
    """Cuts places so that their rows of a table are not too many bytes at once."""
    a_row = max(1, table.nbytes // max(1, table.num_rows))
    rows = max(1, _PART_BYTES // a_row)
    for start in range(0, len(places), rows):
        yield places[start : start + rows]


def _in_order(block: Path) -> Iterator[pa.Table]:
    """Yields a block's rows in the order of their places, from the mapped file."""
    with pa.memory_map(str(block)) as source, pa.ipc.open_stream(source) as reader:
        table = reader.read_all()
        order = np.argsort(table[_PLACE].to_numpy())
        for some in _parts(order, table):
            yield table.take(pa.array(some))


def _planned(
    plan: Plan,
    places: np.ndarray,
    weights: np.ndarray,
    flags: Mapping[int, Sequence[str]],
) -> list[pa.Array]:
    """Returns the columns that the plan adds to rows of the index."""
    rows = plan.rows[places]
    names = pa.array(plan.split_names, pa.string())
    seen = [flags.get(row, ()) for row in rows.tolist()]
    return [
        names.take(pa.array(plan.split[places])),
        *(
            pa.array(numbers[places])
            for numbers in (plan.shard, plan.num_shards, plan.position, plan.copy)
        ),
        pa.array(weights[rows]),
        pa.array(seen, _FLAGS),
    ]
