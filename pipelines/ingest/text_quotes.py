"""Where a quote in a line of CSV is left open, so that a cell goes on behind it."""

from __future__ import annotations

import csv
import io

from thresher.pipelines.ingest.line_blocks import Block


def leaves_quote_open(line: bytes, delimiter: str) -> bool:
    """Whether the last cell of a line goes on in the next one, if there were one."""
    if b'"' not in line:
        return False
    rows = csv.reader([f"{_text(line)}\n", "\n"], delimiter=delimiter)
    try:
        next(rows)
    except csv.Error:
        # A cell is too long for this parser.
        return False
    return rows.line_num > 1


def closed_lines(block: Block, delimiter: str) -> int:
    """Returns how many lines come before one that leaves a quote open."""
    for number, line in enumerate(io.BytesIO(block.data)):
        if leaves_quote_open(line, delimiter):
            return number
    return block.lines


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")
