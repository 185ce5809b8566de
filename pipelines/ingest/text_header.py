"""What a text table is, learnt from its name, its first line and its first rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Optional

import pyarrow as pa

from thresher.episodes.errors import unknown_name
from thresher.pipelines.ingest.line_blocks import (
    Block,
    check_text,
    likely_delimiter,
    text_start,
    text_stop,
    unchecked_blocks,
)
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.table_rules import damaged
from thresher.pipelines.ingest.text_kinds import has_decimal_commas, kind_of
from thresher.pipelines.ingest.text_pieces import Rows, sound_pieces
from thresher.pipelines.ingest.text_rows import (
    Dialect,
    csv_cells,
    csv_columns,
    json_rows,
)

_CSV = {".csv": ",", ".tsv": "\t", ".txt": ","}
_JSON = (".jsonl", ".ndjson")
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": " ", "pipe": "|"}
_DECIMALS = {"point": ".", "comma": ","}
_SAMPLE_ROWS = 2000


@dataclasses.dataclass(frozen=True)
class TextHeader:
    """How a text table is to be read.

    Attributes:
      is_json: Whether a row is an object of JSON.
      dialect: How the cells of CSV are written.
      kinds: Every column, and what its first cells hold; see `kind_of`.
      first_line: Number of the line that holds the first row.
      start: First byte of that line.
      stop: Where the rows of the file end.
      notes: What was guessed, and what could be said otherwise.
    """

    is_json: bool
    dialect: Dialect
    kinds: Mapping[str, str]
    first_line: int
    start: int
    stop: int
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The columns in the order of the file."""
        return list(self.kinds)


def has_text_name(path: Path) -> bool:
    """Whether a file's name ends as text tables' do; their bytes have no magic."""
    return path.suffix.lower() in (*_CSV, *_JSON)


def is_json(path: Path) -> bool:
    """Whether a file's name ends as that of JSON lines."""
    return path.suffix.lower() in _JSON


def text_header(path: Path, options: Mapping[str, str]) -> TextHeader:
    """Returns what a text table is.

    Args:
      path: The file.
      options: Of the reader: `delimiter` and `decimal` count here.

    Raises:
      UserError: An option has no such choice.
      DamagedRecordingError: The file is empty, or its header or a first row is broken.
    """
    notes: list[str] = []
    dialect = Dialect(
        _delimiter(path, options, notes),
        _choice("decimal", options.get("decimal", "point"), _DECIMALS),
    )
    start, first_line, stop = text_start(path), 1, text_stop(path)
    block = next(unchecked_blocks(path, start, stop, 1), None)
    if block is None:
        raise damaged(path, "line 1", "there is no line in it", "leave it out")
    if is_json(path):
        cells = _json_cells(path, block)
    else:
        behind = int(block.starts[1])
        check_text(path, block.part(0, 1))
        names = csv_columns(path, block.data[: behind - start], dialect.delimiter)
        lines = block.data.splitlines(keepends=True)[1 : _SAMPLE_ROWS + 1]
        start, first_line = behind, 2
        cells = _csv_cells(path, Block(2, behind, b"".join(lines)), names, dialect)
    kinds = {name: kind_of(values, dialect) for name, values in cells.items()}
    notes += [
        f"{name!r} holds texts, or numbers with --option decimal=comma"
        for name, values in cells.items()
        if kinds[name] == "text" and has_decimal_commas(values)
    ]
    return TextHeader(
        is_json(path), dialect, kinds, first_line, start, stop, tuple(notes)
    )


def _delimiter(path: Path, options: Mapping[str, str], notes: list[str]) -> str:
    if "delimiter" in options:
        return _choice("delimiter", options["delimiter"], _DELIMITERS)
    usual = _CSV.get(path.suffix.lower(), ",")
    guessed = usual if is_json(path) else likely_delimiter(path, usual)
    if guessed != usual:
        (name,) = (n for n, sign in _DELIMITERS.items() if sign == guessed)
        notes.append(f"its header says delimiter={name}")
    return guessed


def _choice(option: str, said: str, choices: Mapping[str, str]) -> str:
    if said not in choices:
        raise unknown_name(f"choice of option {option}", said, choices)
    return choices[said]


def _json_cells(path: Path, block: Block) -> dict[str, list[Any]]:
    head = b"".join(block.data.splitlines(keepends=True)[:_SAMPLE_ROWS])

    def rows_of(lines: Block) -> list[dict[str, Any]]:
        check_text(path, lines)
        return list(json_rows(path, lines))

    found: dict[str, list[Any]] = {}
    for rows in _sound(path, Block(1, block.offset, head), rows_of, None):
        for row in rows:
            for name, value in row.items():
                found.setdefault(name, []).append(value)
    return found


def _csv_cells(
    path: Path, block: Block, names: list[str], dialect: Dialect
) -> dict[str, list[Any]]:
    texts = {name: pa.string() for name in names}

    def cells_of(lines: Block) -> dict[str, pa.Array]:
        check_text(path, lines)
        return csv_cells(path, lines, names, texts, dialect)

    found: dict[str, list[Any]] = {name: [] for name in names}
    if block.data:
        for cells in _sound(path, block, cells_of, dialect.delimiter):
            for name in names:
                found[name] += cells[name].to_pylist()
    return found


def _sound(
    path: Path, block: Block, read: Callable[[Block], Rows], delimiter: Optional[str]
) -> list[Rows]:
    """Returns the rows of lines that can be read; what is broken, the listing tells.

    Raises:
      DamagedRecordingError: Not one of them can be.
    """
    found: list[Rows] = []
    errors: list[DamagedRecordingError] = []
    try:
        for _, rows in sound_pieces(path, block, read, delimiter):
            if isinstance(rows, DamagedRecordingError):
                errors.append(rows)
            else:
                found.append(rows)
    except DamagedRecordingError as error:
        errors.append(error)
    if errors and not found:
        raise errors[0]
    return found
