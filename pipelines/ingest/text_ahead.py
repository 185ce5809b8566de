"""Cells of many rows at once: whole blocks are parsed, once for all episodes in them.

An episode of a text table is small beside what its parser is fast with. So the block
that is listed is parsed with the columns that the reading before asked for, and where
nobody lists, the block behind a row that follows the one read before it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.pipelines.ingest.line_blocks import BLOCK_BYTES, Block, blocks
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.text_rows import Dialect, csv_cells, strict_csv_cells
from thresher.pipelines.ingest.text_runs import Run
from thresher.pipelines.ingest.whole_numbers import may_be_rounded

# Numbers without a gap are NumPy's from the start, which slices in no time.
Cells = Union[pa.Array, np.ndarray]
# An episode that began in one block and ends in the next needs both.
_MOST_WINDOWS = 3


class _Window:
    """Rows that were parsed.

    Attributes:
      starts: First byte of each line, and the end of the last, [lines + 1].
      cells: Of each column, one a line.
    """

    def __init__(self, block: Block, cells: Mapping[str, pa.Array]) -> None:
        self.starts = block.starts
        self._first_line, self._lines = block.first_line, block.lines
        self.cells = {name: _numbers(column) for name, column in cells.items()}
        self._whole_numbers: dict[str, Optional[np.ndarray]] = {}

    def rows(self, run: Run) -> Optional[slice]:
        """Returns those rows of a run that are here from its first on, or None."""
        first = run.line - self._first_line
        last = min(run.after - self._first_line, self._lines)
        if not 0 <= first < last or self.starts[first] != run.start:
            return None
        return slice(first, last) if self.starts[last] <= run.stop else None

    def whole_numbers(self, name: str) -> Optional[np.ndarray]:
        """Returns a column of texts as int64 [lines], or None if one is no such."""
        if name not in self._whole_numbers:
            self._whole_numbers[name] = _whole_numbers(self.cells[name])
        return self._whole_numbers[name]


class ReadAhead:
    """Parses blocks of a table for whoever lists it and reads it in order.

    It only ever gives what parsing a run alone would: rows among which anything is
    wrong, or of another kind, are left to that, which says what and where.
    """

    def __init__(
        self, path: Path, names: Sequence[str], dialect: Dialect, stop: int
    ) -> None:
        """Remembers the table.

        Args:
          path: The file.
          names: All columns.
          dialect: How its cells are written.
          stop: Where the rows of the file end.
        """
        self._path, self._names, self._dialect = path, names, dialect
        self._end = stop
        self._kinds: Mapping[str, pa.DataType] = {}
        self._windows: deque[_Window] = deque(maxlen=_MOST_WINDOWS)
        # Where the rows that were found last are, if one window has all of them.
        self._last: Optional[tuple[Run, _Window, slice]] = None
        self._next = -1
        # Up to here a listing went, with nobody reading what it parsed ahead.
        self._listed = 0
        self._is_wanted = False
        # Up to here it was tried, and failed.
        self._tried = -1
        self._lock = threading.Lock()

    def listed(self, block: Block, column: str) -> pa.Array:
        """Returns the texts of a column, one a line, for who lists a block.

        Raises:
          DamagedRecordingError: A line is broken.
        """
        kinds = {column: pa.string()}
        with self._lock:
            self._listed = int(block.starts[-1])
            if self._is_wanted and self._kinds.get(column) == kinds[column]:
                self._is_wanted = False
                cells = self._parsed(block)
                if cells is not None:
                    return cells[column]
        return csv_cells(self._path, block, self._names, kinds, self._dialect)[column]

    def cells(
        self, run: Run, kinds: Mapping[str, pa.DataType]
    ) -> Optional[dict[str, Cells]]:
        """Returns the cells of some rows, or None.

        Args:
          run: The rows.
          kinds: The wanted columns, and what they hold.
        """
        with self._lock:
            return self._cells(run, kinds)

    def _cells(
        self, run: Run, kinds: Mapping[str, pa.DataType]
    ) -> Optional[dict[str, Cells]]:
        if kinds is not self._kinds and kinds != self._kinds:
            self._windows.clear()
            self._last = None
        # The same ones the next time are then known without a look.
        self._kinds = kinds
        start = run.start
        follows, self._next, self._is_wanted = start == self._next, run.stop, True
        while self._windows and self._windows[0].starts[-1] <= start:
            self._windows.popleft()
        found = self._found(run)
        if found is None and follows and start >= self._tried:
            # No further than who lists, for the rest is parsed for both of them.
            end = self._listed if start < self._listed < self._end else self._end
            block = self._block(start, end, run.line)
            if block is not None and self._parsed(block) is not None:
                found = self._found(run)
        return found

    def whole_numbers(self, name: str, run: Run) -> dict[str, np.ndarray]:
        """Returns a column of texts as int64, by name; nothing where it is not at hand.

        Args:
          name: The column, which was last asked for as texts.
          run: The rows.
        """
        with self._lock:
            last = self._last
        if last is None or last[0] != run or name not in last[1].cells:
            return {}
        numbers = last[1].whole_numbers(name)
        return {} if numbers is None else {name: numbers[last[2]]}

    def _found(self, run: Run) -> Optional[dict[str, Cells]]:
        found: list[tuple[_Window, slice]] = []
        # The file's last line may lack its end.
        left, end = run, min(run.stop, self._end)
        for window in self._windows:
            rows = window.rows(left)
            if rows is not None:
                found.append((window, rows))
                reached = int(window.starts[rows.stop])
                if reached >= end:
                    break
                lines = rows.stop - rows.start
                left = dataclasses.replace(left, line=left.line + lines, start=reached)
        else:
            self._last = None
            return None
        self._last = (run, *found[0]) if len(found) == 1 else None
        parts = [{n: c[rows] for n, c in w.cells.items()} for w, rows in found]
        if len(parts) == 1:
            return parts[0]
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}

    def _block(self, start: int, stop: int, line: int) -> Optional[Block]:
        try:
            return next(blocks(self._path, start, stop, line), None)
        except DamagedRecordingError:
            self._tried = start + BLOCK_BYTES
            return None

    def _parsed(self, block: Block) -> Optional[Mapping[str, pa.Array]]:
        """Keeps the columns of a block; nothing where any cell is not as expected."""
        try:
            cells = strict_csv_cells(
                self._path, block, self._names, self._kinds, self._dialect
            )
        except (DamagedRecordingError, pa.ArrowInvalid):
            self._tried = int(block.starts[-1])
            return None
        self._windows.append(_Window(block, cells))
        return cells


def _numbers(cells: pa.Array) -> Cells:
    is_whole = not cells.null_count and pa.types.is_primitive(cells.type)
    if not is_whole or pa.types.is_boolean(cells.type):
        return cells
    numbers = np.asarray(cells.to_numpy())
    # What may be rounded stays Arrow's, and is looked at once more where it is read.
    return cells if may_be_rounded(numbers) else numbers


def _whole_numbers(texts: pa.Array) -> Optional[np.ndarray]:
    try:
        return np.asarray(texts.cast(pa.int64()).to_numpy())
    except pa.ArrowInvalid:
        # Blanks around them are rare, and looking for them takes as long as the rest.
        with contextlib.suppress(pa.ArrowInvalid):
            trimmed = pc.utf8_trim_whitespace(texts)
            return np.asarray(trimmed.cast(pa.int64()).to_numpy())
    return None


def _joined(parts: Sequence[Cells]) -> Cells:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return pa.concat_arrays(
        [pa.array(p) if isinstance(p, np.ndarray) else p for p in parts]
    )
