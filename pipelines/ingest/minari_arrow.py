"""Minari's Arrow and Parquet storage: a folder an episode, fields in nested structs.

Actions, rewards and endings are stored with one row of padding, so that they are as
long as the observations; it is taken off again, since nobody recorded it. Source:
Minari 0.5.3, `dataset/_storages/arrow_storage.py`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from thresher.episodes.spec import Column
from thresher.pipelines.ingest.parquet_columns import (
    column_of,
    is_image_array,
    number_type,
    value_shape,
)
from thresher.pipelines.ingest.picture_columns import PictureOption, looks_like_pixels
from thresher.pipelines.ingest.recording import FieldInfo
from thresher.pipelines.ingest.table_rules import Budget

PADDED = ("actions", "rewards", "terminations", "truncations")
_BATCH_ROWS = 1024
# Arrow's lists have one axis: Minari keeps the axes of an info beside its field.
_SHAPE = b"shape"


@dataclasses.dataclass(frozen=True)
class Leaf:
    """Values of one field of an episode.

    Attributes:
      array: [N], lists where a value is no scalar; padded by a row if so stored.
      shape: Of one value, where the file says it; None where only the space may.
    """

    array: pa.Array
    shape: tuple[int, ...] | None = None


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
) -> dict[str, Leaf]:
    """Returns the leaves of an episode by slash path, only those wanted.

    Args:
      folder: The episode's.
      kind: 'arrow' or 'parquet'.
      wanted: Paths; empty for all, of the first batch only.
      budget: What they may hold.

    Raises:
      ValueError: There is no file, or a damaged one.
    """
    parts: dict[str, list[Leaf]] = {}
    for batch in _batches(folder, kind):
        for field, column in zip(batch.schema, batch.columns):
            for path, leaf in _leaves(field.name, field, column):
                if not wanted or path in wanted:
                    budget.spend(leaf.array.nbytes, path)
                    parts.setdefault(path, []).append(leaf)
        if not wanted:
            break
    return {
        path: Leaf(pa.concat_arrays([leaf.array for leaf in leaves]), leaves[0].shape)
        for path, leaves in parts.items()
    }


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


def _leaves(path: str, field: pa.Field, array: pa.Array) -> Iterator[tuple[str, Leaf]]:
    if not pa.types.is_struct(array.type):
        yield path, Leaf(array, _told_shape(field))
        return
    for number in range(array.type.num_fields):
        inner = array.type.field(number)
        if array.null_count:
            raise ValueError(f"{path} has rows without a value")
        yield from _leaves(f"{path}/{inner.name}", inner, array.field(number))


def _told_shape(field: pa.Field) -> tuple[int, ...] | None:
    said = (field.metadata or {}).get(_SHAPE)
    if said is None:
        return None
    return tuple(int(size) for size in said.decode().split(",") if size)


def leaf_info(
    path: str, leaf: Leaf, shape: tuple[int, ...] | None, steps: int | None
) -> FieldInfo:
    """Returns what a leaf is, in the words of Minari's HDF5 storage.

    Args:
      path: Its slash path.
      leaf: Some of its values.
      shape: By its space; None if that does not say.
      steps: Of the episode; None if nothing says.
    """
    shape = _shape(leaf, shape)
    kind = number_type(leaf.array.type)
    is_image = is_image_array(leaf.array) or _are_pixels(kind, shape)
    rows = None if steps is None else steps + (path.partition("/")[0] not in PADDED)
    return FieldInfo(
        path,
        str(leaf.array.type) if kind is None else str(kind),
        shape,
        is_image=is_image,
        note="" if rows is None else f"{rows} rows in the first episode",
    )


def _shape(leaf: Leaf, shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    for said in (shape, leaf.shape):
        if said is not None:
            return said
    return value_shape(leaf.array.type)


def _are_pixels(kind: np.dtype | None, shape: tuple[int, ...] | None) -> bool:
    return (
        kind is not None and shape is not None and looks_like_pixels((1, *shape), kind)
    )


def leaf_column(
    path: str,
    leaf: Leaf,
    shape: tuple[int, ...] | None,
    pictures: PictureOption,
    budget: Budget,
) -> Column:
    """Returns a leaf's column, of its declared shape and without padding.

    Args:
      path: Its slash path.
      leaf: All of its values.
      shape: By its space; None if that does not say.
      pictures: How raw pixels are kept.
      budget: What the segment may hold.

    Raises:
      ValueError: It does not have the shape.
    """
    is_padded = path.partition("/")[0] in PADDED
    array = leaf.array[:-1] if is_padded else leaf.array
    column = column_of(array, path, budget)
    shape = shape if shape is not None else leaf.shape
    if shape is None or not isinstance(column, np.ndarray):
        return column
    column = column.reshape(len(column), *shape)
    if looks_like_pixels(column.shape, column.dtype):
        return pictures.keep(iter(column), budget, path)
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
