"""Lists the episodes of a text table, also around lines that cannot be read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Optional, Union

import pyarrow as pa

from thresher.pipelines.ingest.line_blocks import Block
from thresher.pipelines.ingest.recording import DamagedRecordingError, SegmentPointer
from thresher.pipelines.ingest.text_runs import Run, changes

# Each costs time to find; so many are no accident of one line.
_MOST_BROKEN = 100


class TextListing:
    """One pass over a table.

    A broken line may be a row of the episode before it or of the one behind it, or
    stand for many that were lost. So it is among the rows of both, and reading either
    says what is wrong with it.

    Attributes:
      broken: What is wrong with each line that cannot be read, so far.
    """

    def __init__(self, line: int, start: int, stop: int) -> None:
        """Begins at a row.

        Args:
          line: Number of its line.
          start: Its first byte.
          stop: Where the rows of the file end.
        """
        self.broken: list[DamagedRecordingError] = []
        self._run = Run(line, start)
        self._lost: Optional[Run] = None
        self._stop = stop
        self._seen: set[str] = set()

    def pointers(
        self,
        pieces: Iterable[
            tuple[Block, Union[Optional[pa.Array], DamagedRecordingError]]
        ],
    ) -> Iterator[SegmentPointer]:
        """Yields runs of rows with the same episode.

        Args:
          pieces: All lines, with the episode of each, None if all are of one, or what
            is wrong with one.

        Raises:
          DamagedRecordingError: No line behind one that is broken can be read, or
            there are too many of them.
        """
        for block, episodes in pieces:
            if isinstance(episodes, DamagedRecordingError):
                self._lose(block, episodes)
                continue
            if self._lost is not None and episodes is not None:
                yield from self._across(self._lost, episodes[0].as_py())
            yield from self._rows(block, episodes)
        if self._lost is not None:
            # Perhaps a writer was killed over it.
            raise self.broken[-1]
        run = self._run
        if run.after > run.line:
            # A last line without its end was given one, which is not in the file.
            yield run.pointer(run.after, min(run.stop, self._stop), self._seen)

    def notes(self) -> list[str]:
        """Returns how many lines are broken, so far, and what is wrong with one."""
        if not self.broken:
            return []
        return [
            f"{len(self.broken)} lines cannot be read, and spoil the episodes beside "
            f"them; the first is {self.broken[0]}"
        ]

    def _lose(self, block: Block, error: DamagedRecordingError) -> None:
        self.broken.append(error)
        if len(self.broken) > _MOST_BROKEN:
            raise error
        first = self._lost or Run(block.first_line, block.offset)
        self._lost = _grown(first, block)

    def _across(self, lost: Run, episode: str) -> Iterator[SegmentPointer]:
        """Goes on behind broken lines, which spoil what is on both sides of them."""
        run, self._lost = self._run, None
        self._run = dataclasses.replace(lost, episode=episode)
        if run.episode == episode:
            self._run = dataclasses.replace(run, after=lost.after, stop=lost.stop)
        elif run.episode is not None:
            yield run.pointer(lost.after, lost.stop, self._seen)

    def _rows(
        self, block: Block, episodes: Optional[pa.Array]
    ) -> Iterator[SegmentPointer]:
        if episodes is not None and self._run.episode is None:
            self._run = dataclasses.replace(self._run, episode=episodes[0].as_py())
        for row, episode in changes(episodes, self._run.episode):
            line, start = block.first_line + row, int(block.starts[row])
            yield self._run.pointer(line, start, self._seen)
            self._run = Run(line, start, episode)
        self._run = _grown(self._run, block)


def _grown(run: Run, block: Block) -> Run:
    after = block.first_line + block.lines
    return dataclasses.replace(run, after=after, stop=int(block.starts[-1]))
