"""Minari datasets in any of their storages; N + 1 observations against N actions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.ingest.guarded_table import GuardedTable
from thresher.pipelines.ingest.hdf5 import Hdf5Reader
from thresher.pipelines.ingest.minari_arrow import (
    PADDED,
    episode_folders,
    episode_metadata,
    leaf_column,
    leaf_info,
    read_leaves,
    space_shapes,
)
from thresher.pipelines.ingest.picture_columns import PictureOption
from thresher.pipelines.ingest.recording import (
    Contents,
    FieldInfo,
    Segment,
    SegmentPointer,
    Stream,
)
from thresher.pipelines.ingest.table_rules import (
    Budget,
    check_fields,
    check_options,
    damaged,
    row_times,
    telling_damage,
)

REMEDY = "download the dataset again: minari download NAME"
_MAIN, _METADATA = "main_data.hdf5", "metadata.json"
_STORAGES = ("hdf5", "arrow", "parquet")
_TOLD = ("dataset_id", "algorithm_name", "author", "code_permalink", "minari_version")
_LARGEST_JSON = 256 << 20
# Damage in more episodes than this at the start is no accident of one.
_MOST_TRIED = 20


class MinariReader:
    """A dataset's folder, or its folder `data`, read in this process.

    Attributes:
      path: The folder.
      format: 'minari'.
    """

    format = "minari"
    options = ("images",)  # png, jpeg or raw: how pixels are kept that are no files

    def __init__(self, path: Path, options: Mapping[str, str]) -> None:
        """Reads `metadata.json`.

        Raises:
          UserError: An unknown option, or a storage that is not read.
          DamagedRecordingError: There is no dataset, or a damaged one.
        """
        check_options(self.format, options, self.options)
        self.path = path
        self._pictures = PictureOption.of(options)
        if not self.recognises(path):
            rule = f"there is no {_METADATA} with a data_format in it"
            raise damaged(path, "", rule, REMEDY)
        self._data = path / "data" if (path / "data" / _METADATA).is_file() else path
        self._said = _metadata(self._data / _METADATA)
        self._storage = str(self._said.get("data_format", "hdf5"))
        if self._storage not in _STORAGES:
            raise unknown_name("Minari storage", self._storage, _STORAGES)
        self._hdf5: Optional[Hdf5Reader] = None
        if self._storage == "hdf5":
            chosen = {**options, "episodes": "episode_*"}
            self._hdf5 = Hdf5Reader(self._data / _MAIN, chosen)
        self._shapes = self._space_shapes()

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a folder holds Minari's metadata with its data beside."""
        for data in (path / "data", path):
            if (data / _METADATA).is_file():
                if (data / _MAIN).is_file():
                    return True
                if any(data.glob("*/part-*")) and any(data.glob(f"*/{_METADATA}")):
                    return True
        return False

    def _space_shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        with telling_damage(self._data / _METADATA, "", REMEDY):
            for name in ("observation", "action"):
                text = self._said.get(f"{name}_space")
                if isinstance(text, str):
                    found.update(space_shapes(f"{name}s", json.loads(text)))
        return found

    def contents(self) -> Contents:
        """Returns the fields of the first episode, and how many the metadata say."""
        notes = []
        if self._hdf5 is not None:
            inner = self._hdf5.contents()
            fields, episodes = list(inner.fields), inner.episodes
            attributes = {*inner.attributes, *_plain(self._said)}
        else:
            folders = episode_folders(self._data)
            fields, episodes = self._arrow_fields(folders), len(folders)
            attributes = {"id", "seed", "total_steps", *_plain(self._said)}
        said = self._said.get("total_episodes")
        if said not in (None, episodes):
            notes.append(f"{_METADATA} says {said} episodes, there are {episodes}")
        notes.append(f"storage {self._storage}")
        return Contents(self.format, fields, episodes, notes, sorted(attributes))

    def _arrow_fields(self, folders: Sequence[Path]) -> list[FieldInfo]:
        """Returns the fields of the first episode that is sound."""
        last: Optional[UserError] = None
        for folder in folders[:_MOST_TRIED]:
            try:
                with telling_damage(folder, "", REMEDY):
                    budget = Budget(self.path, folder.name)
                    leaves = read_leaves(folder, self._storage, set(), budget)
                    steps = episode_metadata(folder).get("total_steps")
                    return [
                        leaf_info(name, leaf, self._shapes.get(name), steps)
                        for name, leaf in leaves.items()
                    ]
            except UserError as error:
                last = error
        if last is not None:
            raise last
        return []

    def pointers(self) -> Iterator[SegmentPointer]:
        """Yields episodes by number."""
        if self._hdf5 is not None:
            yield from self._hdf5.pointers()
            return
        for folder in episode_folders(self._data):
            size = sum(path.stat().st_size for path in folder.iterdir())
            yield SegmentPointer(f"episode_{folder.name}", -1, size)

    def read(self, pointer: SegmentPointer, fields: Sequence[str]) -> Segment:
        """Returns one episode; observations are one more than actions.

        Raises:
          UserError: No such field.
          DamagedRecordingError: The episode is damaged, or its rows do not match.
        """
        if self._hdf5 is not None:
            segment = self._hdf5.read(pointer, fields)
            attributes = {**_plain(self._said), **segment.attributes}
            return Segment(segment.position, segment.streams, attributes)
        position = pointer.position
        folder = self._data / position[len("episode_") :]
        if not position.startswith("episode_") or not folder.is_dir():
            raise UserError(f"there is no {position!r} in {self.path}")
        with telling_damage(self.path, position, REMEDY):
            streams = self._arrow_streams(folder, position, fields)
            attributes = {**_plain(self._said), **_plain(episode_metadata(folder))}
            return Segment(position, streams, attributes)

    def _arrow_streams(
        self, folder: Path, position: str, fields: Sequence[str]
    ) -> dict[str, Stream]:
        budget = Budget(self.path, position)
        there = read_leaves(folder, self._storage, set(fields) | {"rewards"}, budget)
        if any(name not in there for name in fields):
            everything = read_leaves(folder, self._storage, set(), budget)
            check_fields(self.path, fields, everything)
        rows = {len(leaf.array) for leaf in there.values()}
        said = episode_metadata(folder).get("total_steps")
        padded = [
            len(leaf.array) - 1
            for name, leaf in there.items()
            if name.partition("/")[0] in PADDED
        ]
        if len(rows) > 1 or (said is not None and padded and padded[0] != said):
            raise ValueError(f"columns have {sorted(rows)} rows for {said} steps")
        columns = {
            name: leaf_column(
                name, there[name], self._shapes.get(name), self._pictures, budget
            )
            for name in fields
        }
        return {n: Stream(row_times(len(c)), c) for n, c in columns.items()}


def _metadata(path: Path) -> dict[str, Any]:
    with telling_damage(path, "", REMEDY):
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError(f"more than {_LARGEST_JSON >> 20} MiB of metadata")
        said = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(said, dict):
            raise ValueError("no JSON object")
        return said


def _plain(said: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what metadata say in short plain values; spaces are no such thing."""
    return {
        name: value
        for name, value in said.items()
        if isinstance(value, (str, int, float, bool))
        and (name in _TOLD or not name.endswith("_space"))
        and len(str(value)) <= 4096
    }


class MinariTable(GuardedTable):
    """A Minari dataset's folder, read in a process of its own."""

    format = MinariReader.format
    reader = MinariReader
