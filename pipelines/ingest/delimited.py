"""CSV and JSON lines, with pictures in files or frames of videos beside them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pyarrow as pa

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.ingest.delimited_pictures import (
    files_column,
    frames_column,
)
from thresher.pipelines.ingest.guarded_table import GuardedTable
from thresher.pipelines.ingest.line_blocks import (
    Block,
    blocks,
    check_text,
    unchecked_blocks,
)
from thresher.pipelines.ingest.picture_columns import PictureOption
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
    clock_times,
    damaged,
    row_times,
    telling_damage,
)
from thresher.pipelines.ingest.text_ahead import ReadAhead
from thresher.pipelines.ingest.text_header import (
    has_text_name,
    is_json,
    text_header,
)
from thresher.pipelines.ingest.text_kinds import ARROW_KINDS, NUMBERS
from thresher.pipelines.ingest.text_listing import TextListing
from thresher.pipelines.ingest.text_pieces import sound_pieces
from thresher.pipelines.ingest.text_rows import (
    REFUSE,
    REMEDY,
    SKIP,
    alike,
    csv_cells,
    json_rows,
    nanoseconds_of_texts,
    numbers_of_cells,
    numbers_of_values,
)
from thresher.pipelines.ingest.text_runs import AGAIN, Run, parsed_position
from thresher.pipelines.ingest.whole_numbers import may_be_rounded

# Counting means reading: half a second for this much.
_COUNTED_BYTES = 64 << 20
_FIRST_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """What a reading asks for.

    Attributes:
      fields: As they were asked for.
      kinds: Every column that is needed for them, and what it holds.
      pictures: Fields that name pictures, or frames of videos.
    """

    fields: tuple[str, ...] = ()
    kinds: Mapping[str, pa.DataType] = dataclasses.field(default_factory=dict)
    pictures: frozenset[str] = frozenset()


class DelimitedReader:
    """One file, a row a line, read in this process.

    Attributes:
      path: The file.
      format: 'delimited'.
    """

    format = "delimited"
    options = (
        "episode",  # column that says which episode a row is of
        "clock",  # column that holds the time of each row
        "clock_unit",  # s, ms, us or ns
        "delimiter",  # comma, semicolon, tab, space or pipe; guessed by the header
        "decimal",  # point (as if not given) or comma: what decimals stand behind
        "missing",  # refuse (as if not given), or skip: fields at different times
        "pictures",  # columns of picture files, joined by commas; guessed if not given
        "frames",  # VIDEO:FRAME, columns of a video's path and a frame's number in it
        "root",  # folder that paths in cells start from; the file's own if not given
        "images",  # png, jpeg or raw: how frames of videos are kept
    )

    def __init__(self, path: Path, options: Mapping[str, str]) -> None:
        """Reads the header.

        Raises:
          UserError: An unknown option, or a column in one that is not there.
          DamagedRecordingError: The file is empty, or its header is broken.
        """
        check_options(self.format, options, self.options)
        self.path = path
        self._options = options
        self._pictures = PictureOption.of(options)
        self._missing = options.get("missing", REFUSE)
        if self._missing not in (REFUSE, SKIP):
            raise unknown_name(
                "choice of option missing", self._missing, [REFUSE, SKIP]
            )
        self._header = text_header(path, options)
        self._names = self._header.names
        for name in filter(None, [options.get("episode"), options.get("clock")]):
            check_fields(path, [name], self._names)
        self._video, self._frame = self._frame_columns()
        header = self._header
        self._ahead = ReadAhead(path, self._names, header.dialect, header.stop)
        self._wanted = _Wanted()

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a file's name ends as such files' do; its bytes have no magic."""
        return path.is_file() and has_text_name(path)

    def _frame_columns(self) -> tuple[str, str]:
        said = self._options.get("frames", "")
        video, colon, frame = said.rpartition(":")
        if said and not colon:
            raise UserError(f"option frames: {said!r} is not VIDEO_COLUMN:FRAME_COLUMN")
        check_fields(self.path, [name for name in (video, frame) if name], self._names)
        return video, frame

    def contents(self) -> Contents:
        """Returns the columns, and how many episodes and rows there are."""
        kinds = self._header.kinds
        is_small = self._header.stop - self._header.start <= _COUNTED_BYTES
        listing, places = self._listing(), list[SegmentPointer]()
        notes = list(self._header.notes)
        try:
            places.extend(self._listed(listing) if is_small else ())
        except DamagedRecordingError as error:
            if not places:
                raise
            notes.append(str(error))
        rows = sum(place.rows for place in places) if is_small else -1
        notes += listing.notes()
        if not is_small:
            notes.append("too large for its rows to be counted here")
        fields = [
            FieldInfo(
                name,
                "number" if kinds[name] in NUMBERS else kinds[name],
                None if self._is_picture(name) else (),
                rows if self._missing == REFUSE else -1,
                is_image=self._is_picture(name),
            )
            for name in self._names
        ]
        episodes = len(places) if "episode" in self._options else 0
        return Contents(self.format, fields, episodes, notes, ("episode",))

    def _is_picture(self, name: str) -> bool:
        if self._video and name == self._video:
            return True
        if "pictures" in self._options:
            return name in [n.strip() for n in self._options["pictures"].split(",")]
        return self._header.kinds.get(name) == "picture"

    def pointers(self) -> Iterator[SegmentPointer]:
        """Yields runs of rows with the same episode; without a column, all rows.

        Raises:
          DamagedRecordingError: No line behind one that is broken can be read; one
            before others is among the rows of the episodes beside it.
        """
        return self._listed(self._listing())

    def _listing(self) -> TextListing:
        header = self._header
        return TextListing(header.first_line, header.start, header.stop)

    def _listed(self, listing: TextListing) -> Iterator[SegmentPointer]:
        with telling_damage(self.path, "", REMEDY):
            yield from listing.pointers(self._pieces())

    def _pieces(self) -> Iterator[tuple[Block, Any]]:
        """Yields all lines, with the episodes that they say or what is wrong."""
        header, column = self._header, self._options.get("episode")
        # Reading says which columns are wanted, so the first block, which is listed
        # before, is a small one.
        lines = unchecked_blocks(
            self.path, header.start, header.stop, header.first_line, _FIRST_BYTES
        )
        if column is None:
            for block in lines:
                check_text(self.path, block)
                yield block, None
            return
        delimiter = None if header.is_json else header.dialect.delimiter
        episodes = functools.partial(self._episodes_of, column=column)
        for block in lines:
            yield from sound_pieces(self.path, block, episodes, delimiter)

    def _episodes_of(self, block: Block, column: str) -> pa.Array:
        check_text(self.path, block)
        if self._header.is_json:
            rows = json_rows(self.path, block)
            # Arrow does not hold half of a character, which JSON can say.
            texts = (
                str(row.get(column)).encode(errors="backslashreplace") for row in rows
            )
            return pa.array([text.decode() for text in texts])
        return self._ahead.listed(block, column)

    def read(self, pointer: SegmentPointer, fields: Sequence[str]) -> Segment:
        """Returns a run of rows; a field under `missing: skip` may have fewer values.

        Raises:
          UserError: No such column.
          DamagedRecordingError: A cell, picture or video is missing or broken.
        """
        wanted = self._wanted_for(fields)
        position = pointer.position
        run = parsed_position(position.removesuffix(AGAIN))
        if position.endswith(AGAIN):
            rule = "its episode's rows are in two places"
            raise damaged(self.path, position, rule, "sort the file by its episode")
        clock, episode = self._options.get("clock"), self._options.get("episode")
        with telling_damage(self.path, position, REMEDY):
            budget = Budget(self.path, position)
            cells = self._cells(run, wanted.kinds, budget)
            count = len(next(iter(cells.values()), ()))
            budget.spend(8 * count, "the clock")
            times = self._times(cells, clock, count, run.line, position)
            attributes = (
                {"episode": str(cells[episode][0])} if episode and count else {}
            )
            if episode and episode in fields and self._header.kinds[episode] in NUMBERS:
                cells = {**cells, **self._ahead.whole_numbers(episode, run)}
            # Most columns of most tables, with nothing more to ask.
            plain = {
                name: cells[name]
                for name in fields
                if isinstance(cells[name], np.ndarray) and name not in wanted.pictures
            }
            budget.spend(sum(values.nbytes for values in plain.values()), "its numbers")
            streams = {
                # A copy, for these rows may be some of many that are held until it is
                # gone.
                name: Stream(times, plain[name].copy())
                if name in plain
                else self._stream(name, cells, times, run.line, position, budget)
                for name in fields
            }
        return Segment(position, streams, attributes)

    def _wanted_for(self, fields: Sequence[str]) -> _Wanted:
        # Asked for every episode, and nearly always the same.
        if self._wanted.fields != tuple(fields):
            check_fields(self.path, fields, self._names)
            beside = [self._options.get("clock"), self._options.get("episode")]
            beside += [self._frame] if self._video in fields else []
            # A column's name may be empty.
            names = [*fields, *filter(None, beside)]
            self._wanted = _Wanted(
                tuple(fields),
                {name: self._arrow_kind(name) for name in names},
                frozenset(name for name in fields if self._is_picture(name)),
            )
        return self._wanted

    def _cells(
        self, run: Run, kinds: Mapping[str, pa.DataType], budget: Budget
    ) -> dict[str, Any]:
        if not self._header.is_json:
            ahead = self._ahead.cells(run, kinds)
            if ahead is not None:
                budget.spend(run.stop - run.start, "its rows")
            cells = dict(ahead or self._csv_cells(run, kinds, budget))
            # As they are written, for Arrow may have rounded them.
            again = {n: pa.string() for n, c in cells.items() if _may_be_rounded(c)}
            return {**cells, **self._csv_cells(run, again, budget)}
        parts: dict[str, list[Any]] = {name: [] for name in kinds}
        for block in blocks(self.path, run.start, run.stop, run.line):
            budget.spend(len(block.data), "its rows")
            for row in json_rows(self.path, block):
                for name in kinds:
                    parts[name].append(row.get(name))
        return parts

    def _csv_cells(
        self, run: Run, kinds: Mapping[str, pa.DataType], budget: Budget
    ) -> dict[str, Any]:
        if not kinds:
            return {}
        parts: dict[str, list[pa.Array]] = {name: [] for name in kinds}
        for block in blocks(self.path, run.start, run.stop, run.line):
            budget.spend(len(block.data), "its rows")
            found = csv_cells(
                self.path, block, self._names, kinds, self._header.dialect
            )
            for name in kinds:
                parts[name].append(found[name])
        return {name: alike(p) for name, p in parts.items() if p}

    def _arrow_kind(self, name: str) -> pa.DataType:
        # A clock is read digit by digit: see nanoseconds_of_texts.
        if name in (self._options.get("clock"), self._options.get("episode")):
            return pa.string()
        return ARROW_KINDS.get(self._header.kinds.get(name, "text"), pa.string())

    def _times(
        self,
        cells: Mapping[str, Any],
        clock: Optional[str],
        count: int,
        line: int,
        position: str,
    ) -> np.ndarray:
        if clock is None:
            return row_times(count)
        unit = self._options.get("clock_unit", "s")
        if unit == "s" and not self._header.is_json:
            exact = nanoseconds_of_texts(cells[clock], self._header.dialect)
            if exact is not None:
                return exact
        values, _ = self._values(clock, cells, line, REFUSE)
        return clock_times(values, unit, self.path, position)

    def _values(
        self, name: str, cells: Mapping[str, Any], line: int, missing: str
    ) -> tuple[np.ndarray, np.ndarray]:
        if self._header.is_json:
            return numbers_of_values(self.path, name, cells[name], line, missing)
        if self._header.kinds.get(name) in NUMBERS:
            return numbers_of_cells(
                self.path, name, cells[name], line, missing, self._header.dialect
            )
        texts = np.empty(len(cells[name]), dtype=object)
        texts[:] = cells[name].to_pylist()
        if missing == SKIP:
            there = np.array([text != "" for text in texts], dtype=bool)
            return texts[there], there
        return texts, np.ones(len(texts), dtype=bool)

    def _stream(
        self,
        name: str,
        cells: Mapping[str, Any],
        times: np.ndarray,
        line: int,
        position: str,
        budget: Budget,
    ) -> Stream:
        values, there = self._values(name, cells, line, self._missing)
        budget.spend(values.nbytes, name)
        # One clock for all fields, where all have a value in every row.
        times = times if there.all() else times[there]
        if not self._is_picture(name):
            return Stream(times, values)
        root = Path(self._options.get("root", "")) or Path()
        folder = root if root.is_absolute() else self.path.parent / root
        lines = np.flatnonzero(there) + line
        paths = [str(value) for value in values]
        if name == self._video:
            numbers, _ = self._values(self._frame, cells, line, REFUSE)
            frames = frames_column(
                self.path, folder, paths, numbers[there], lines, self._pictures, budget
            )
            return Stream(times, frames)
        return Stream(times, files_column(self.path, folder, paths, lines, budget))


def _may_be_rounded(column: Any) -> bool:
    # NumPy's were asked when they were read ahead.
    if isinstance(column, np.ndarray) or not pa.types.is_floating(column.type):
        return False
    column = column.drop_null() if column.null_count else column
    return may_be_rounded(column.to_numpy(zero_copy_only=False))


class DelimitedTable(GuardedTable):
    """A text table; all but plain CSV is read in a process of its own."""

    format = DelimitedReader.format
    reader = DelimitedReader

    @classmethod
    def wants_guard(cls, path: Path, options: Mapping[str, str]) -> bool:
        """Whether videos are decoded, or JSON, which may take all memory, is parsed.

        CSV is Arrow's, which never broke over a damaged one and takes as much as there
        is: see docs/results/fuzzed_readers.md.
        """
        return "frames" in options or is_json(path)
