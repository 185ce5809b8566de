"""Cells of the rows to come: small episodes in a row are parsed at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

import numpy as np
import pyarrow as pa

from thresher.pipelines.ingest.line_blocks import BLOCK_BYTES, Block, blocks
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.text_rows import strict_csv_cells


@dataclasses.dataclass(frozen=True)
class _Window:
    """Rows that were parsed.

    Attributes:
      block: Their lines.
      kinds: Their columns and what those hold.
      cells: Of each column, one a line.
    """

    block: Block
    kinds: Mapping[str, pa.DataType]
    cells: Mapping[str, pa.Array]


class ReadAhead:
    """Parses a block of a table when runs of rows are asked for one after the other.

    It only ever gives what parsing a run alone would: rows among which anything is
    wrong, or of another kind, are left to that, which says what and where.
    """

    def __init__(
        self, path: Path, names: Sequence[str], delimiter: str, stop: int
    ) -> None:
        """Remembers the table.

        Args:
          path: The file.
          names: All columns.
          delimiter: Between cells.
          stop: Where the rows of the file end.
        """
        self._path, self._names, self._delimiter = path, names, delimiter
        self._end = stop
        self._window: Optional[_Window] = None
        self._next = -1
        # Up to here it was tried, and failed.
        self._tried = -1

    def cells(
        self, line: int, start: int, stop: int, kinds: Mapping[str, pa.DataType]
    ) -> Optional[dict[str, pa.Array]]:
        """Returns the cells of the rows between two bytes, or None.

        Args:
          line: Number of the first row's line.
          start: Its first byte.
          stop: Behind the last row's last byte.
          kinds: The wanted columns, and what they hold.
        """
        follows, self._next = start == self._next, stop
        found = self._found(start, stop, kinds)
        if found is None and follows and start >= self._tried:
            self._window = self._parsed(line, start, kinds)
            found = self._found(start, stop, kinds)
        return found

    def _found(
        self, start: int, stop: int, kinds: Mapping[str, pa.DataType]
    ) -> Optional[dict[str, pa.Array]]:
        window = self._window
        if window is None or window.kinds != kinds:
            return None
        starts = window.block.starts
        first, last = np.searchsorted(starts, [start, stop]).tolist()
        if last >= len(starts) or starts[first] != start or starts[last] != stop:
            return None
        return {n: c.slice(first, last - first) for n, c in window.cells.items()}

    def _parsed(
        self, line: int, start: int, kinds: Mapping[str, pa.DataType]
    ) -> Optional[_Window]:
        self._window = None
        self._tried = start + BLOCK_BYTES
        try:
            block = next(blocks(self._path, start, self._end, line), None)
            if block is None:
                return None
            cells = strict_csv_cells(
                self._path, block, self._names, kinds, self._delimiter
            )
        except (DamagedRecordingError, pa.ArrowInvalid):
            return None
        self._tried = -1
        return _Window(block, dict(kinds), cells)
