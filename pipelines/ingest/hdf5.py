"""HDF5 demonstrations: robomimic, robosuite, ALOHA, DROID, D4RL, or any by options."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.ingest.guarded_table import GuardedTable
from thresher.pipelines.ingest.hdf5_columns import (
    is_picture,
    read_column,
    row_count,
    row_shape,
)
from thresher.pipelines.ingest.hdf5_file import (
    REMEDY,
    Tree,
    dataset_problem,
    has_magic,
    unwritten,
)
from thresher.pipelines.ingest.hdf5_layouts import (
    WHOLE,
    EpisodePlace,
    Layout,
    find_layout,
    places,
)
from thresher.pipelines.ingest.hdf5_open import OpenHdf5
from thresher.pipelines.ingest.optional import load_h5py
from thresher.pipelines.ingest.picture_columns import PictureOption
from thresher.pipelines.ingest.recording import (
    Contents,
    FieldInfo,
    Segment,
    SegmentPointer,
    Stream,
)
from thresher.pipelines.ingest.table_rules import (
    MAX_ROWS,
    Budget,
    check_fields,
    check_options,
    clock_times,
    damaged,
    flag,
    row_times,
    telling_damage,
)

_COMPRESS_LEN = "compress_len"
# Damage this far into a file is no accident of one episode.
_MOST_TRIED = 20


class Hdf5Reader:
    """One HDF5 file, read in this process.

    Attributes:
      path: The file.
      format: 'hdf5'.
    """

    format = "hdf5"
    options = (
        "episodes",  # glob of the groups that are episodes, '/' for the whole file
        "ends",  # arrays whose true rows end an episode, joined by commas
        "mask",  # robomimic filter key
        "transpose",  # true where arrays are (dimension, time)
        "clock",  # field that holds the time of each row
        "clock_unit",  # s, ms, us or ns
        "images",  # png, jpeg or raw: how raw pixels are kept
    )

    def __init__(self, path: Path, options: Mapping[str, str]) -> None:
        """Looks at the options and the first bytes only.

        Raises:
          UserError: An unknown option, or h5py is missing.
          DamagedRecordingError: The file is no HDF5 file.
        """
        check_options(self.format, options, self.options)
        self.path = path
        self._options = options
        self._transposed = flag(options, "transpose")
        self._pictures = PictureOption.of(options)
        self._places: dict[str, EpisodePlace] = {}
        self._whole: Optional[tuple[int, int]] = None
        self._open = OpenHdf5(path)
        if not self.recognises(path):
            raise damaged(path, "byte 0", "it does not start as HDF5 does", REMEDY)

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a path is a file that starts as HDF5 does."""
        return path.is_file() and has_magic(path)

    def opened(self) -> contextlib.AbstractContextManager:
        """Holds the file open for several questions."""
        return self._open.opened()

    def contents(self) -> Contents:
        """Returns the fields of the first episode and how many episodes there are."""
        with self._open.opened() as file, telling_damage(self.path, "", REMEDY):
            layout = find_layout(file, self._options)
            found = list(places(file, layout, self._options.get("mask", "")))
            if not found:
                return Contents(self.format, (), notes=("no episode is in it",))
            place, first = self._first_sound(found)
            return Contents(
                self.format,
                self._fields(place, first, len(found)),
                len(found),
                self._notes(layout, place, first),
                tuple(sorted(self._attributes(place, first))),
            )

    def _first_sound(self, found: Sequence[EpisodePlace]) -> tuple[EpisodePlace, Tree]:
        """Returns the first episode that can be looked into; raises if none can."""
        for place in found[:_MOST_TRIED]:
            try:
                with telling_damage(self.path, place.position, REMEDY):
                    return place, self._tree(place)
            except UserError:
                continue
        return found[0], self._tree(found[0])

    def _fields(
        self, place: EpisodePlace, first: Tree, episodes: int
    ) -> list[FieldInfo]:
        fields = []
        # Of rows that are cut, the arrays are those of all episodes.
        is_known = episodes == 1 or place.rows is not None
        for name, dataset in first.datasets.items():
            picture = is_picture(dataset)
            shape = row_shape(dataset, self._transposed)
            rows = row_count(dataset, self._transposed)
            fields.append(
                FieldInfo(
                    name,
                    str(dataset.dtype),
                    None if picture and len(shape) < 3 else shape,
                    rows if is_known else -1,
                    is_image=picture,
                    note="" if episodes == 1 else _first_rows(place, rows),
                )
            )
        fields += [
            FieldInfo(name, "not read", None, note=reason)
            for name, reason in first.refused.items()
        ]
        return fields

    def _notes(self, layout: Layout, place: EpisodePlace, first: Tree) -> list[str]:
        notes = [f"layout {layout.name!r}: {layout.guessed}"] if layout.guessed else []
        counts = {row_count(d, self._transposed) for d in first.datasets.values()}
        if len(counts) > 1:
            whose = "fields" if place.rows else "fields of the first episode"
            notes.append(f"{whose} have {sorted(counts)} rows")
        return notes

    def pointers(self) -> Iterator[SegmentPointer]:
        """Yields episodes in the order of the numbers in their names.

        Raises:
          DamagedRecordingError: The file cannot be listed.
        """
        with self._open.opened() as file, telling_damage(self.path, "", REMEDY):
            layout = find_layout(file, self._options)
            for place in places(file, layout, self._options.get("mask", "")):
                yield self._pointer(place)

    def _pointer(self, place: EpisodePlace) -> SegmentPointer:
        if place.rows is None:
            return SegmentPointer(place.position, *self._extent(place))
        # One of many parts of a file, of which only the whole's extent is known.
        if self._whole is None:
            self._whole = self._extent(place)
        rows, (all_rows, size) = place.rows[1] - place.rows[0], self._whole
        return SegmentPointer(place.position, rows, size * rows // max(all_rows, 1))

    def _extent(self, place: EpisodePlace) -> tuple[int, int]:
        """Returns the rows and bytes of a group's fields, (-1, 0) if that fails."""
        try:
            with telling_damage(self.path, place.position, REMEDY):
                datasets = self._tree(place).datasets.values()
                rows = [row_count(d, self._transposed) for d in datasets]
                size = sum(d.id.get_storage_size() for d in datasets)
        except UserError:
            # Reading it will say what is wrong with this one; others may be sound.
            return -1, 0
        return max(rows, default=0), size

    def read(self, pointer: SegmentPointer, fields: Sequence[str]) -> Segment:
        """Returns one episode; fields may differ by one row, see `Stream.times_ns`.

        Raises:
          UserError: No such field.
          DamagedRecordingError: A field is refused, torn, or its rows do not match.
        """
        position = pointer.position
        with self._open.opened() as file:
            with telling_damage(self.path, position, REMEDY):
                place = self._place(file, position)
                content = self._tree(place)
                self._check(content, fields, position)
                return Segment(
                    position,
                    self._streams(file, place, content, fields),
                    self._attributes(place, content),
                )

    def _place(self, file: Any, position: str) -> EpisodePlace:
        if position == EpisodePlace(WHOLE).position:
            return EpisodePlace(WHOLE)
        if not position.startswith("rows "):
            return EpisodePlace(position)
        # Cutting rows means reading their flags, so it is done once.
        if not self._places:
            cut = places(file, find_layout(file, self._options))
            self._places = {place.position: place for place in cut}
        if position not in self._places:
            raise unknown_name("segment", position, self._places)
        return self._places[position]

    def _tree(self, place: EpisodePlace) -> Tree:
        found = self._open.tree(place.group)
        if place.group != WHOLE:
            return found
        # ALOHA's lengths of image files are no rows of steps.
        rows = {n: d for n, d in found.datasets.items() if n != _COMPRESS_LEN}
        return dataclasses.replace(found, datasets=rows)

    def _check(self, content: Tree, fields: Sequence[str], position: str) -> None:
        wanted = [*fields, *filter(None, [self._options.get("clock")])]
        for name in wanted:
            if name in content.refused:
                rule = f"{name} is not read: {content.refused[name]}"
                raise damaged(self.path, position, rule, "leave it out, or rewrite it")
        check_fields(self.path, wanted, content.datasets)

    def _streams(
        self, file: Any, place: EpisodePlace, content: Tree, fields: Sequence[str]
    ) -> dict[str, Stream]:
        budget = Budget(self.path, place.position)
        counts = self._rows(place, content, fields)
        budget.spend(8 * max(counts.values(), default=0), "the clock")
        times = self._times(place, content, budget, max(counts.values(), default=0))
        lengths = _image_lengths(file) if place.group == WHOLE else None
        streams = {}
        for name in fields:
            values = read_column(
                content.datasets[name],
                place.rows,
                self._transposed,
                self._pictures,
                budget,
                lengths,
            )
            if len(values) > len(times):
                raise ValueError(
                    f"{name} has {len(values)} rows, the clock {len(times)}"
                )
            streams[name] = Stream(times[: len(values)], values)
        return streams

    def _rows(
        self, place: EpisodePlace, content: Tree, fields: Sequence[str]
    ) -> dict[str, int]:
        """Returns the rows of each field, once it is sure that they belong together."""
        counts = {
            name: row_count(content.datasets[name], self._transposed) for name in fields
        }
        most = max(counts.values(), default=0)
        spread = 0 if place.rows is not None else 1
        for name, count in counts.items():
            if most - count > spread:
                longest = max(counts, key=lambda other: counts[other])
                raise ValueError(
                    f"{name} has {count} rows, {longest} has {most}: rows are steps, "
                    "and only the observations may be one more"
                )
        if most > MAX_ROWS:
            raise ValueError(f"{most:,} rows; {MAX_ROWS:,} are the most")
        return counts if place.rows is None else {"": place.rows[1] - place.rows[0]}

    def _times(
        self, place: EpisodePlace, content: Tree, budget: Budget, count: int
    ) -> np.ndarray:
        clock = self._options.get("clock")
        if clock is None:
            return row_times(count)
        dataset = content.datasets[clock]
        values = read_column(
            dataset, place.rows, self._transposed, PictureOption("raw"), budget
        )
        assert isinstance(values, np.ndarray)
        unit = self._options.get("clock_unit", "s")
        return clock_times(values, unit, self.path, place.position)

    def _attributes(self, place: EpisodePlace, content: Tree) -> dict[str, Any]:
        """Returns what is said of the episode; what is nearest to it wins."""
        found: dict[str, Any] = {}
        parts = [part for part in place.group.split("/") if part]
        for depth in range(len(parts)):
            found.update(self._open.attributes("/" + "/".join(parts[:depth])))
        found.update(content.attributes)
        if place.rows is not None:
            found["ended_by"] = place.ending or "end of file"
        if parts:
            keys = self._open.filter_keys()
            names = [key for key, kept in keys.items() if parts[-1] in kept]
            if names:
                found["filter_keys"] = names
        return found


def _first_rows(place: EpisodePlace, rows: int) -> str:
    """Returns how many of a field's rows are the first episode's; '' if none are."""
    first, stop = place.rows or (0, rows)
    return f"{stop - first} rows in the first episode" if rows >= stop else ""


def _image_lengths(file: Any) -> Optional[np.ndarray]:
    """Returns ALOHA's byte counts of padded image files, [cameras, N], or None."""
    h5py = load_h5py()
    item = file.get(_COMPRESS_LEN) if _COMPRESS_LEN in file else None
    if not isinstance(item, h5py.Dataset) or item.ndim != 2:
        return None
    if item.size > MAX_ROWS or dataset_problem(item) or unwritten(item):
        return None
    return np.asarray(item[...])


class Hdf5Table(GuardedTable):
    """One HDF5 file, read in a process of its own."""

    format = Hdf5Reader.format
    reader = Hdf5Reader
