"""Runs of rows that belong to one episode, and what their positions say."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.recording import SegmentPointer

# Its read refuses it.
AGAIN = ", of an episode that was before"
_POSITION = re.compile(
    r"lines (\d{1,18})-(\d{1,18}), bytes (\d{1,18})-(\d{1,18})", re.ASCII
)


@dataclasses.dataclass(frozen=True)
class Run:
    """Rows of one episode, as far as they have been seen.

    Attributes:
      line: Number of the first one's line.
      start: Its first byte.
      episode: Which episode; None before a row was seen, or without such a column.
      after: Number of the line behind the last row.
      stop: Behind its last byte.
    """

    line: int
    start: int
    episode: Optional[str] = None
    after: int = 0
    stop: int = 0

    def pointer(self, after: int, stop: int, seen: set[str]) -> SegmentPointer:
        """Returns the pointer to these rows, and remembers their episode."""
        position = f"lines {self.line}-{after - 1}, bytes {self.start}-{stop}"
        if self.episode is not None and self.episode in seen:
            position += AGAIN
        seen.add(self.episode or "")
        return SegmentPointer(position, after - self.line, stop - self.start)


def changes(
    cells: Optional[pa.Array], before: Optional[str]
) -> Iterator[tuple[int, str]]:
    """Yields the rows whose episode is another than the row's before, and it."""
    if cells is None or not len(cells):
        return
    first = [0] if cells[0].as_py() != before else []
    differ = pc.not_equal(cells[1:], cells[:-1]).to_numpy(zero_copy_only=False)
    for row in [*first, *(np.flatnonzero(differ) + 1).tolist()]:
        yield row, cells[row].as_py()


def parsed_position(position: str) -> Run:
    """Returns the rows that a position says, of whatever episode.

    Raises:
      UserError: It is no position of a text table.
    """
    found = _POSITION.fullmatch(position)
    if found is None:
        raise UserError(f"{position!r} is no segment of a text table")
    line, last, start, stop = map(int, found.groups())
    return Run(line, start, after=last + 1, stop=stop)
