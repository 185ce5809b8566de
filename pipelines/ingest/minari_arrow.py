"""Minari's Arrow and Parquet storage: a folder an episode, fields in nested structs.

Actions, rewards and endings are stored with one row of padding, so that they are as
long as the observations; it is taken off again, since nobody recorded it. Source:
Minari 0.5.3, `dataset/_storages/arrow_storage.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from thresher.episodes.spec import Column
from thresher.pipelines.ingest.parquet_columns import column_of
from thresher.pipelines.ingest.table_rules import Budget

PADDED = ("actions", "rewards", "terminations", "truncations")
_BATCH_ROWS = 1024
_MOST_BYTES = 2 << 30


def episode_folders(data: Path) -> list[Path]:
    """Returns the folders of episodes, by number."""
    folders = [p for p in data.iterdir() if p.is_dir() and p.name.isdecimal()]
    return sorted(folders, key=lambda path: int(path.name))


def episode_metadata(folder: Path) -> dict[str, Any]:
    """Returns an episode's `metadata.json`; raises ValueError if it is no object."""
    said = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    if not isinstance(said, dict):
        raise ValueError("metadata.json is no JSON object")
    return said


def read_leaves(
    folder: Path, kind: str, wanted: set[str], budget: Budget
) -> dict[str, pa.Array]:
    """Returns the Arrow arrays of an episode by slash path, only those wanted.

    Args:
      folder: The episode's.
      kind: 'arrow' or 'parquet'.
      wanted: Paths; empty for all, of the first batch only.
      budget: What they may hold.

    Raises:
      ValueError: There is no file, or a damaged one.
    """
    parts: dict[str, list[pa.Array]] = {}
    for batch in _batches(folder, kind):
        for name, column in zip(batch.schema.names, batch.columns):
            for path, leaf in _leaves(name, column):
                if not wanted or path in wanted:
                    budget.spend(leaf.nbytes, path)
                    parts.setdefault(path, []).append(leaf)
        if not wanted:
            break
    return {path: pa.concat_arrays(arrays) for path, arrays in parts.items()}


def _batches(folder: Path, kind: str) -> Iterator[pa.RecordBatch]:
    suffix = "parquet" if kind == "parquet" else "arrow"
    paths = sorted(folder.glob(f"*.{suffix}"))
    if not paths:
        raise ValueError(f"there is no .{suffix} file in it")
    for path in paths:
        if suffix == "parquet":
            import pyarrow.parquet as pq

            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(_BATCH_ROWS)
        else:
            with pa.memory_map(str(path)) as source:
                reader = pa.ipc.open_file(source)
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number)


def _leaves(path: str, array: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    if not pa.types.is_struct(array.type):
        yield path, array
        return
    for number in range(array.type.num_fields):
        field = array.type.field(number)
        inner = array.field(number)
        if array.null_count:
            raise ValueError(f"{path} has rows without a value")
        yield from _leaves(f"{path}/{field.name}", inner)


def leaf_column(
    path: str, array: pa.Array, shape: tuple[int, ...] | None, budget: Budget
) -> Column:
    """Returns a leaf's column, of the space's shape and without padding.

    Raises:
      ValueError: It does not have the shape.
    """
    head = path.partition("/")[0]
    column = column_of(array[:-1] if head in PADDED else array, path, budget)
    if shape is not None and isinstance(column, np.ndarray):
        return column.reshape(len(column), *shape)
    return column


def space_shapes(path: str, space: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the shape of every leaf of a serialised Gymnasium space, by slash path."""
    inner = space.get("subspaces")
    if isinstance(inner, Mapping):
        for name, said in inner.items():
            yield from space_shapes(f"{path}/{name}", said)
    elif isinstance(inner, list):
        for number, said in enumerate(inner):
            yield from space_shapes(f"{path}/{number}", said)
    elif "shape" in space:
        yield path, tuple(int(size) for size in space["shape"])
