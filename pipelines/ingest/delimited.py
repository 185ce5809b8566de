"""CSV and JSON lines, with pictures in files or frames of videos beside them."""

from __future__ import annotations

import dataclasses
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
    likely_delimiter,
    text_start,
    text_stop,
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
    clock_times,
    damaged,
    row_times,
    telling_damage,
)
from thresher.pipelines.ingest.text_ahead import ReadAhead
from thresher.pipelines.ingest.text_kinds import (
    ARROW_KINDS,
    NUMBERS,
    has_decimal_commas,
    kind_of,
)
from thresher.pipelines.ingest.text_rows import (
    REFUSE,
    REMEDY,
    SKIP,
    Dialect,
    csv_cells,
    csv_columns,
    json_rows,
    nanoseconds_of_texts,
    numbers_of_cells,
    numbers_of_values,
)
from thresher.pipelines.ingest.text_runs import AGAIN, Run, changes, parsed_position
from thresher.pipelines.ingest.whole_numbers import may_be_rounded

_CSV = {".csv": ",", ".tsv": "\t", ".txt": ","}
_JSON = (".jsonl", ".ndjson")
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": " ", "pipe": "|"}
_DECIMALS = {"point": ".", "comma": ","}
_SAMPLE_ROWS = 2000
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
        self._is_json = path.suffix.lower() in _JSON
        self._notes: list[str] = []
        self._dialect = Dialect(self._chosen_delimiter(), self._chosen_decimal())
        self._start, self._first_line = text_start(path), 1
        self._stop = text_stop(path)
        self._names: list[str] = []
        self._kinds: dict[str, str] = {}
        self._sample()
        for name in filter(None, [options.get("episode"), options.get("clock")]):
            check_fields(path, [name], self._names)
        self._video, self._frame = self._frame_columns()
        self._ahead = ReadAhead(path, self._names, self._dialect, self._stop)
        self._wanted = _Wanted()

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a file's name ends as such files' do; its bytes have no magic."""
        return path.is_file() and path.suffix.lower() in (*_CSV, *_JSON)

    def _chosen_delimiter(self) -> str:
        said = self._options.get("delimiter")
        if said is not None:
            if said not in _DELIMITERS:
                raise unknown_name("choice of option delimiter", said, _DELIMITERS)
            return _DELIMITERS[said]
        usual = _CSV.get(self.path.suffix.lower(), ",")
        guessed = usual if self._is_json else likely_delimiter(self.path, usual)
        if guessed != usual:
            (name,) = (n for n, sign in _DELIMITERS.items() if sign == guessed)
            self._notes.append(f"its header says delimiter={name}")
        return guessed

    def _chosen_decimal(self) -> str:
        said = self._options.get("decimal", "point")
        if said not in _DECIMALS:
            raise unknown_name("choice of option decimal", said, _DECIMALS)
        return _DECIMALS[said]

    def _frame_columns(self) -> tuple[str, str]:
        said = self._options.get("frames", "")
        video, colon, frame = said.rpartition(":")
        if said and not colon:
            raise UserError(f"option frames: {said!r} is not VIDEO_COLUMN:FRAME_COLUMN")
        check_fields(self.path, [name for name in (video, frame) if name], self._names)
        return video, frame

    def _sample(self) -> None:
        """Learns the columns, and which of them hold numbers, from the first rows."""
        block = next(blocks(self.path, self._start, self._stop, 1), None)
        if block is None:
            raise damaged(self.path, "line 1", "there is no line in it", "leave it out")
        if not self._is_json:
            ends = block.starts
            header = block.data[: int(ends[1]) - block.offset]
            self._names = csv_columns(self.path, header, self._dialect.delimiter)
            self._start, self._first_line = int(ends[1]), 2
            lines = block.data.splitlines(keepends=True)[1 : _SAMPLE_ROWS + 1]
            block = Block(2, self._start, b"".join(lines))
        for name, values in self._sample_cells(block).items():
            self._kinds[name] = kind_of(values, self._dialect.decimal)
            if self._kinds[name] == "text" and has_decimal_commas(values):
                self._notes.append(
                    f"{name!r} holds texts, or numbers with --option decimal=comma"
                )
        self._names = self._names or list(self._kinds)

    def _sample_cells(self, block: Block) -> dict[str, list[Any]]:
        if self._is_json:
            head = b"".join(block.data.splitlines(keepends=True)[:_SAMPLE_ROWS])
            found: dict[str, list[Any]] = {}
            for row in json_rows(self.path, Block(1, self._start, head)):
                for name, value in row.items():
                    found.setdefault(name, []).append(value)
            return found
        if not block.data:
            return {name: [] for name in self._names}
        texts = {name: pa.string() for name in self._names}
        cells = csv_cells(self.path, block, self._names, texts, self._dialect)
        return {name: column.to_pylist() for name, column in cells.items()}

    def contents(self) -> Contents:
        """Returns the columns, and how many episodes and rows there are."""
        is_small = self._stop - self._start <= _COUNTED_BYTES
        places = list(self.pointers()) if is_small else []
        rows = sum(place.rows for place in places) if is_small else -1
        notes = list(self._notes)
        if not is_small:
            notes.append("too large for its rows to be counted here")
        fields = [
            FieldInfo(
                name,
                "number" if self._kinds[name] in NUMBERS else self._kinds[name],
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
        return self._kinds.get(name) == "picture"

    def pointers(self) -> Iterator[SegmentPointer]:
        """Yields runs of rows with the same episode; without a column, all rows.

        Raises:
          DamagedRecordingError: A line is broken.
        """
        column = self._options.get("episode")
        seen: set[str] = set()
        run = Run(self._first_line, self._start)
        with telling_damage(self.path, "", REMEDY):
            for block in self._blocks():
                starts = block.starts
                cells = self._episodes_of(block, column) if column else None
                if cells is not None and run.episode is None:
                    run = dataclasses.replace(run, episode=cells[0].as_py())
                for row, episode in changes(cells, run.episode):
                    line = block.first_line + row
                    yield run.pointer(line, int(starts[row]), seen)
                    run = Run(line, int(starts[row]), episode)
                after = block.first_line + len(starts) - 1
                run = dataclasses.replace(run, after=after, stop=int(starts[-1]))
        if run.after > run.line:
            # A last line without its end was given one, which is not in the file.
            yield run.pointer(run.after, min(run.stop, self._stop), seen)

    def _blocks(self) -> Iterator[Block]:
        # Reading says which columns are wanted, so the first block, which is listed
        # before, is a small one.
        return blocks(
            self.path, self._start, self._stop, self._first_line, _FIRST_BYTES
        )

    def _episodes_of(self, block: Block, column: str) -> pa.Array:
        if self._is_json:
            rows = json_rows(self.path, block)
            return pa.array([str(row.get(column)) for row in rows])
        return self._ahead.listed(block, column)

    def read(self, pointer: SegmentPointer, fields: Sequence[str]) -> Segment:
        """Returns a run of rows; a field under `missing: skip` may have fewer values.

        Raises:
          UserError: No such column.
          DamagedRecordingError: A cell, picture or video is missing or broken.
        """
        wanted = self._wanted_for(fields)
        position = pointer.position
        line, start, stop = parsed_position(position.removesuffix(AGAIN))
        if position.endswith(AGAIN):
            rule = "its episode's rows are in two places"
            raise damaged(self.path, position, rule, "sort the file by its episode")
        clock, episode = self._options.get("clock"), self._options.get("episode")
        with telling_damage(self.path, position, REMEDY):
            budget = Budget(self.path, position)
            cells = self._cells(line, start, stop, wanted.kinds, budget)
            count = max((len(values) for values in cells.values()), default=0)
            budget.spend(8 * count, "the clock")
            times = self._times(cells, clock, count, line, position)
            attributes = (
                {"episode": str(cells[episode][0])} if episode and count else {}
            )
            if episode and episode in fields and self._kinds[episode] in NUMBERS:
                cells = {**cells, **self._ahead.whole_numbers(episode, start, stop)}
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
                else self._stream(name, cells, times, line, position, budget)
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
        self,
        line: int,
        start: int,
        stop: int,
        kinds: Mapping[str, pa.DataType],
        budget: Budget,
    ) -> dict[str, Any]:
        if not self._is_json:
            ahead = self._ahead.cells(line, start, stop, kinds)
            if ahead is not None:
                budget.spend(stop - start, "its rows")
            cells = dict(ahead or self._csv_cells(line, start, stop, kinds, budget))
            # As they are written, for Arrow may have rounded them.
            again = {n: pa.string() for n in kinds if _may_be_rounded(cells.get(n))}
            return {**cells, **self._csv_cells(line, start, stop, again, budget)}
        parts: dict[str, list[Any]] = {name: [] for name in kinds}
        for block in blocks(self.path, start, stop, line):
            budget.spend(len(block.data), "its rows")
            for row in json_rows(self.path, block):
                for name in kinds:
                    parts[name].append(row.get(name))
        return parts

    def _csv_cells(
        self,
        line: int,
        start: int,
        stop: int,
        kinds: Mapping[str, pa.DataType],
        budget: Budget,
    ) -> dict[str, Any]:
        parts: dict[str, list[pa.Array]] = {name: [] for name in kinds}
        for block in blocks(self.path, start, stop, line) if kinds else ():
            budget.spend(len(block.data), "its rows")
            found = csv_cells(self.path, block, self._names, kinds, self._dialect)
            for name in kinds:
                parts[name].append(found[name])
        return {name: _alike(p) for name, p in parts.items() if p}

    def _arrow_kind(self, name: str) -> pa.DataType:
        # A clock is read digit by digit: see nanoseconds_of_texts.
        if name in (self._options.get("clock"), self._options.get("episode")):
            return pa.string()
        return ARROW_KINDS.get(self._kinds.get(name, "text"), pa.string())

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
        if unit == "s" and not self._is_json:
            exact = nanoseconds_of_texts(cells[clock], self._dialect)
            if exact is not None:
                return exact
        values, _ = self._values(clock, cells, line, REFUSE)
        return clock_times(values, unit, self.path, position)

    def _values(
        self, name: str, cells: Mapping[str, Any], line: int, missing: str
    ) -> tuple[np.ndarray, np.ndarray]:
        if self._is_json:
            return numbers_of_values(self.path, name, cells[name], line, missing)
        if self._kinds.get(name) in NUMBERS:
            return numbers_of_cells(
                self.path, name, cells[name], line, missing, self._dialect
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
    if not (isinstance(column, pa.Array) and pa.types.is_floating(column.type)):
        return False
    column = column.drop_null() if column.null_count else column
    return may_be_rounded(column.to_numpy(zero_copy_only=False))


def _alike(parts: list[pa.Array]) -> pa.Array:
    """Returns the blocks of a column as one; numbers join texts as texts."""
    kinds = {part.type for part in parts}
    if len(kinds) > 1:
        parts = [part.cast(pa.string()) for part in parts]
    return pa.concat_arrays(parts)


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
        return "frames" in options or path.suffix.lower() in _JSON
