"""Finds the lines of a block that cannot be read, so that the others are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Optional, TypeVar, Union

from thresher.pipelines.ingest.line_blocks import Block
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.table_rules import damaged
from thresher.pipelines.ingest.text_quotes import closed_lines

Rows = TypeVar("Rows")


def sound_pieces(
    path: Path, block: Block, read: Callable[[Block], Rows], delimiter: Optional[str]
) -> Iterator[tuple[Block, Union[Rows, DamagedRecordingError]]]:
    """Yields the lines of a block: many with their rows, or one with what is wrong.

    Args:
      path: The file, for errors.
      block: The lines; if nothing is wrong, it comes as it is.
      read: Returns the rows of some lines, or raises DamagedRecordingError.
      delimiter: Between the cells of CSV; None where no line changes what another is.

    Raises:
      DamagedRecordingError: After the lines before it, at one that leaves a quote
        open: where rows begin behind it, nobody can tell.
    """
    try:
        rows = read(block)
    except DamagedRecordingError:
        closed = block.lines if delimiter is None else closed_lines(block, delimiter)
        yield from _in_halves(block.part(0, closed), read)
        if closed < block.lines:
            rule = "a cell holds a line break, or its quote is not closed"
            where = f"line {block.first_line + closed}"
            raise damaged(path, where, rule, "write one row a line") from None
        return
    yield block, rows


def _in_halves(
    block: Block, read: Callable[[Block], Rows]
) -> Iterator[tuple[Block, Union[Rows, DamagedRecordingError]]]:
    if not block.lines:
        return
    try:
        rows = read(block)
    except DamagedRecordingError as error:
        if block.lines == 1:
            yield block, error
            return
    else:
        yield block, rows
        return
    middle = block.lines // 2
    yield from _in_halves(block.part(0, middle), read)
    yield from _in_halves(block.part(middle, block.lines), read)
