"""TFRecords of TF-Agents transitions or trajectories, cut into episodes by step types.

A record is one step. Where a `Transition` (s, a, r, s') is the record, the observations
of a segment are also offered joined, one more than actions, as 'observation'.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from thresher.episodes.errors import UserError
from thresher.episodes.example_wire import FeatureBytes, parse_example
from thresher.episodes.images import EncodedImages
from thresher.episodes.spec import Column
from thresher.episodes.tfrecord import HEAD_BYTES, TAIL_BYTES
from thresher.pipelines.ingest.recording import (
    Contents,
    DamagedRecordingError,
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
from thresher.pipelines.ingest.tf_agents_spec import (
    SUFFIX,
    Entry,
    decode_column,
    read_spec,
)
from thresher.pipelines.ingest.tfrecord_places import (
    RecordPlace,
    record_at,
    record_places,
    records_between,
)

REMEDY = "copy the file and its .spec again"
_FIRST, _LAST = 0, 2
_MOMENT = "time_step"
_BOUNDARY = ", a boundary"
_BOUNDARY_NOTE = (
    "an episode's last record is a boundary (step_type 2): it has the final "
    "observation, and its action and reward mean nothing"
)
# Damage in more episodes than this at the start is no accident of one.
_MOST_TRIED = 20
_CUTS = ("step_type", "none")


@dataclasses.dataclass(frozen=True)
class _Marks:
    """What a record's step types say of where episodes are.

    Attributes:
      begins: It is the first of an episode.
      ends: It is the last.
      boundary: It leads from the last step of one to the first of another.
    """

    begins: bool = False
    ends: bool = False
    boundary: bool = False


class TfAgentsTable:
    """A TFRecord file with its `.spec` beside it.

    Attributes:
      path: The TFRecord file.
      format: 'tf_agents'.
    """

    format = "tf_agents"
    options = ("cut",)  # step_type, or none: the whole file is one segment

    def __init__(self, path: Path, options: Mapping[str, str]) -> None:
        """Looks at the options and for the spec.

        Raises:
          UserError: An unknown option.
          DamagedRecordingError: The spec is not beside the file.
        """
        check_options(self.format, options, self.options)
        self._cut = options.get("cut", _CUTS[0])
        if self._cut not in _CUTS:
            raise UserError(f"option cut: {self._cut!r} is none of {', '.join(_CUTS)}")
        self.path = path
        self._spec: Optional[tuple[str, dict[str, Entry]]] = None
        if not _spec_of(path).is_file():
            rule = f"there is no {_spec_of(path).name} beside it"
            raise damaged(path, "", rule, "copy it too: it says what the records are")

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a file has a `.spec` beside it."""
        return path.is_file() and _spec_of(path).is_file()

    def _entries(self) -> tuple[str, dict[str, Entry]]:
        if self._spec is None:
            spec = _spec_of(self.path)
            with telling_damage(spec, "", REMEDY):
                self._spec = read_spec(spec)
        return self._spec

    def _joined(self) -> dict[str, tuple[str, str]]:
        """Returns fields that join a transition's two observations, by their name."""
        _, entries = self._entries()
        return {
            name[len(_MOMENT) + 1 :]: (name, f"next_{name}")
            for name in entries
            if name.startswith(f"{_MOMENT}/observation") and f"next_{name}" in entries
        }

    def contents(self) -> Contents:
        """Returns the spec's entries, and how many episodes the step types make."""
        kind, entries = self._entries()
        places = list(self.pointers())
        rows = sum(max(place.rows, 0) for place in places)
        fields = [
            FieldInfo(name, entry.dtype, entry.shape, rows, is_image=_is_picture(entry))
            for name, entry in entries.items()
        ]
        fields += [
            FieldInfo(
                name,
                entries[here].dtype,
                entries[here].shape,
                rows + len(places),
                is_image=_is_picture(entries[here]),
                note=f"{here} and the last of {after}",
            )
            for name, (here, after) in self._joined().items()
        ]
        notes = [f"records are {kind or 'of an unnamed structure'}"]
        has_boundaries = self._has_boundaries(places)
        notes += [_BOUNDARY_NOTE] if has_boundaries else []
        return Contents(
            self.format,
            fields,
            len(places),
            notes,
            alignment="rlds" if has_boundaries else "",
        )

    def _has_boundaries(self, places: Sequence[SegmentPointer]) -> bool:
        """Whether the first episode that can be read ends in a boundary."""
        for place in places[:_MOST_TRIED]:
            try:
                return self.read(place, ()).ends_in_boundary
            except DamagedRecordingError:
                continue
        return False

    def _may_end_in_boundary(self) -> bool:
        """Whether segments are of trajectories, which keep their boundaries."""
        _, entries = self._entries()
        return self._cut == "step_type" and "step_type" in entries

    def pointers(self) -> Iterator[SegmentPointer]:
        """Yields runs of records from FIRST to LAST.

        A run with a damaged record in it is listed whole: half an episode is none, and
        reading it tells where the damage is.
        """
        first, start = 0, 0
        number, offset = 0, 0
        for place in record_places(self.path):
            marks = self._marks_at(place)
            if (marks.begins or marks.boundary) and number > first:
                yield _pointer(first, number, start, offset)
                first, start = number, offset
            frame = 0 if place.problem else HEAD_BYTES + TAIL_BYTES
            number, offset = number + 1, place.offset + place.length + frame
            if marks.ends or marks.boundary:
                yield _pointer(first, number, start, offset, marks.boundary)
                first, start = number, offset
        if number > first:
            yield _pointer(first, number, start, offset)

    def _marks_at(self, place: RecordPlace) -> _Marks:
        """Returns a record's marks; a damaged one has none."""
        try:
            return self._marks(record_at(self.path, place))
        except ValueError:
            return _Marks()

    def _marks(self, record: bytes) -> _Marks:
        if self._cut == "none":
            return _Marks()
        _, entries = self._entries()
        is_transition = f"next_{_MOMENT}/step_type" in entries
        here = f"{_MOMENT}/step_type" if is_transition else "step_type"
        if here not in entries:
            rule = "records have no step_type to cut them by"
            raise damaged(self.path, "", rule, "say cut: none in the options")
        found = parse_example(record)
        now = _step_type(entries[here], found)
        if not is_transition:
            return _Marks(begins=now == _FIRST, ends=now == _LAST)
        after = _step_type(entries[f"next_{here}"], found)
        return _Marks(now == _FIRST, after == _LAST, boundary=now == _LAST)

    def read(self, pointer: SegmentPointer, fields: Sequence[str]) -> Segment:
        """Returns one run of records; row k has time k * 1e9 ns.

        Raises:
          UserError: No such field.
          DamagedRecordingError: A record is damaged or not what the spec says.
        """
        _, entries = self._entries()
        joined = self._joined()
        check_fields(self.path, fields, [*entries, *joined])
        position = pointer.position
        if position.endswith(_BOUNDARY):
            rule = "it leads from one episode's last step to the next: nobody acted"
            raise damaged(
                self.path, position, rule, "nothing is lost by leaving it out"
            )
        needed = [n for n in fields if n in entries]
        needed += [n for f in fields if f in joined for n in joined[f]]
        needed += ["step_type"] if self._may_end_in_boundary() else []
        with telling_damage(self.path, position, REMEDY):
            columns = self._columns(position, list(dict.fromkeys(needed)))
            streams = {}
            for name in fields:
                column = (
                    columns[name]
                    if name in entries
                    else _chained(name, *(columns[n] for n in joined[name]))
                )
                streams[name] = Stream(row_times(len(column)), column)
            return Segment(position, streams, {}, self._ends_in_boundary(columns))

    def _ends_in_boundary(self, columns: Mapping[str, Column]) -> bool:
        if not self._may_end_in_boundary():
            return False
        types = columns["step_type"]
        assert isinstance(types, np.ndarray)
        return int(types.reshape(-1)[-1]) == _LAST

    def _columns(self, position: str, names: Sequence[str]) -> dict[str, Column]:
        _, entries = self._entries()
        first, last = _bytes_of(position)
        budget = Budget(self.path, position)
        found: dict[str, list[FeatureBytes]] = {name: [] for name in names}
        for row, record in enumerate(records_between(self.path, first, last)):
            budget.spend(2 * len(record), "its records")
            parsed = parse_example(record)
            for name in names:
                if name not in parsed:
                    raise ValueError(f"record {row} of the segment has no {name}")
                found[name].append(parsed[name])
        return {name: decode_column(entries[name], found[name]) for name in names}


def _spec_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _is_picture(entry: Entry) -> bool:
    return entry.dtype == "uint8" and len(entry.shape) == 3


def _pointer(
    first: int, stop: int, start_byte: int, stop_byte: int, boundary: bool = False
) -> SegmentPointer:
    position = f"records {first}-{stop}, bytes {start_byte}-{stop_byte}"
    position += _BOUNDARY if boundary else ""
    return SegmentPointer(position, stop - first, stop_byte - start_byte)


def _bytes_of(position: str) -> tuple[int, int]:
    said = position.partition("bytes ")[2].partition(",")[0]
    first, dash, last = said.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal()):
        raise UserError(f"{position!r} is no segment of a TF-Agents file")
    return int(first), int(last)


def _step_type(entry: Entry, found: Mapping[str, FeatureBytes]) -> int:
    if entry.path not in found:
        raise ValueError(f"a record has no {entry.path}")
    column = decode_column(entry, [found[entry.path]])
    assert isinstance(column, np.ndarray)
    return int(column.reshape(-1)[0])


def _chained(name: str, here: Column, after: Column) -> Column:
    """Returns the observations of transitions with the one that ends them.

    Raises:
      ValueError: One transition does not start where the one before ended.
    """
    if isinstance(here, EncodedImages) and isinstance(after, EncodedImages):
        apart = [a != b for a, b in zip(after.frames, here.frames[1:])]
        rest = after.frames[-1:]
        column: Column = EncodedImages(here.frames + rest, here.encoding)
    else:
        assert isinstance(here, np.ndarray) and isinstance(after, np.ndarray)
        pairs = zip(after[:-1], here[1:])
        apart = [not np.array_equal(a, b, equal_nan=True) for a, b in pairs]
        column = np.concatenate([here, after[-1:]])
    if any(apart):
        row = apart.index(True)
        raise ValueError(
            f"{name}: transition {row + 1} does not start where {row} ended; "
            "use the two observations by their own names"
        )
    return column
