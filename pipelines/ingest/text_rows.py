"""Rows of CSV and JSON lines: cells by column, every complaint with its line."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from thresher.pipelines.ingest.line_blocks import Block
from thresher.pipelines.ingest.strict_json import flattened, parsed
from thresher.pipelines.ingest.table_rules import damaged
from thresher.pipelines.ingest.text_quotes import leaves_quote_open
from thresher.pipelines.ingest.whole_numbers import (
    array_of,
    array_of_texts,
    may_be_rounded,
)

REMEDY = "mend the line, or leave it out"
_PART_BYTES = 1 << 20
SKIP, REFUSE = "skip", "refuse"
_MOST_COLUMNS = 20_000
# What programs write where a number is missing.
EMPTY = ("", "nan", "NaN", "NAN", "null", "None", "NA", "N/A")


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How the cells of a CSV file are written.

    Attributes:
      delimiter: Between them.
      decimal: Before the decimals of a number: '.' or ','.
    """

    delimiter: str = ","
    decimal: str = "."

    def pointed(self, texts: pa.Array) -> pa.Array:
        """Returns numbers as texts with a point; what has one already is none then."""
        if self.decimal == ".":
            return texts
        return pc.replace_substring(pc.replace_substring(texts, ".", "?"), ",", ".")

    def pointed_text(self, text: str) -> str:
        """Returns what `pointed` does, of one text that Arrow may not hold."""
        if self.decimal == ".":
            return text
        return text.replace(".", "?").replace(",", ".")


POINTED = Dialect()


def csv_columns(path: Path, line: bytes, delimiter: str) -> list[str]:
    """Returns the names in a header line.

    Raises:
      DamagedRecordingError: A name is missing or doubled, or there are too many.
    """
    text = line.decode("utf-8").rstrip("\r\n")
    try:
        cells = next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error as error:
        raise damaged(path, "line 1", str(error), REMEDY) from error
    names = [name.strip() for name in cells]
    if len(names) > _MOST_COLUMNS:
        rule = f"{len(names):,} columns; {_MOST_COLUMNS:,} are the most"
        raise damaged(path, "line 1", rule, "leave out what nobody reads")
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if not names or "" in names or doubled:
        rule = (
            f"column {doubled[0]!r} is there twice"
            if doubled
            else "a column has no name"
        )
        remedy = "name every column once, in the first line"
        raise damaged(path, "line 1", rule, remedy)
    return names


def csv_cells(
    path: Path,
    block: Block,
    names: Sequence[str],
    kinds: Mapping[str, pa.DataType],
    dialect: Dialect,
) -> dict[str, pa.Array]:
    """Returns wanted columns of a block, a line each; empty numbers are null.

    Args:
      path: The file, for errors.
      block: The lines.
      names: All columns of the file.
      kinds: The wanted ones, and what they hold; numbers that turn out to be none make
        a column of texts.
      dialect: How its cells are written.

    Raises:
      DamagedRecordingError: A line has another number of cells than the header.
    """
    try:
        return strict_csv_cells(path, block, names, kinds, dialect)
    except pa.ArrowInvalid:
        # Whatever is no number is found, with its line, among the texts.
        texts = {name: pa.string() for name in kinds}
        return strict_csv_cells(path, block, names, texts, dialect)


def strict_csv_cells(
    path: Path,
    block: Block,
    names: Sequence[str],
    kinds: Mapping[str, pa.DataType],
    dialect: Dialect,
) -> dict[str, pa.Array]:
    """Returns what `csv_cells` does, all of it of the kinds that were asked for.

    Raises:
      DamagedRecordingError: A line has another number of cells than the header.
      pyarrow.ArrowInvalid: A cell is of another kind.
    """
    _refuse_blank(path, block)
    table = _parsed(path, block, names, kinds, dialect)
    if kinds and table.num_rows != block.lines:
        where = f"lines {block.first_line}-{block.first_line + block.lines - 1}"
        rule = (
            f"{table.num_rows} rows on {block.lines} lines: a cell holds a line break"
        )
        raise damaged(path, where, rule, "write one row a line")
    last = block.part(block.lines - 1, block.lines)
    # Arrow takes a quote that the end of its input leaves open for closed.
    if leaves_quote_open(bytes(last.data), dialect.delimiter):
        rule = "the quote of its last cell is not closed"
        raise damaged(path, f"line {last.first_line}", rule, REMEDY)
    return {name: pa.concat_arrays(table.column(name).chunks) for name in kinds}


def _parsed(
    path: Path,
    block: Block,
    names: Sequence[str],
    kinds: Mapping[str, pa.DataType],
    dialect: Dialect,
) -> pa.Table:
    """Parses a block; a ragged line is told, a cell of another kind is ArrowInvalid."""
    if len(block.data) > 2 * _PART_BYTES and b'"' not in block.data:
        # Cut at line feeds, which none is in a cell where nothing is quoted. Errors are
        # left to the whole, which knows the number of the line.
        with contextlib.suppress(pa.ArrowInvalid):
            return _read(block, names, kinds, dialect, None)
    ragged: list[tuple[int, int]] = []

    def note(row: Any) -> str:
        ragged.append((int(row.number or 0), int(row.actual_columns)))
        return "error"

    try:
        return _read(block, names, kinds, dialect, note)
    except pa.ArrowInvalid as error:
        if not ragged and not all(pa.types.is_string(k) for k in kinds.values()):
            raise
        row, cells = ragged[0] if ragged else (1, -1)
        where = f"line {block.first_line + max(row, 1) - 1}"
        rule = f"{cells} cells where the header has {len(names)}"
        raise damaged(
            path, where, rule if ragged else str(error)[:300], REMEDY
        ) from error


def _read(
    block: Block,
    names: Sequence[str],
    kinds: Mapping[str, pa.DataType],
    dialect: Dialect,
    note: Optional[Callable[[Any], str]],
) -> pa.Table:
    """Parses a block, in parts and on all processors if nobody asks for ragged rows."""
    return pacsv.read_csv(
        pa.py_buffer(block.data),
        read_options=pacsv.ReadOptions(
            use_threads=note is None,
            column_names=list(names),
            block_size=_PART_BYTES if note is None else len(block.data) + 1,
        ),
        parse_options=pacsv.ParseOptions(
            delimiter=dialect.delimiter,
            invalid_row_handler=note,
            ignore_empty_lines=False,
        ),
        convert_options=pacsv.ConvertOptions(
            include_columns=list(kinds),
            column_types=dict(kinds),
            null_values=list(EMPTY),
            strings_can_be_null=False,
            decimal_point=dialect.decimal,
        ),
    )


def _refuse_blank(path: Path, block: Block) -> None:
    """Refuses a line with nothing on it, which readers of CSV see in different ways."""
    first = block.starts[:-1]
    lengths = np.diff(block.starts)
    blank = lengths == 1
    short = np.flatnonzero(lengths == 2)
    bytes_ = np.frombuffer(block.data, np.uint8)
    blank[short] = bytes_[first[short] - block.offset] == ord("\r")
    if blank.any():
        line = block.first_line + int(blank.argmax())
        raise damaged(path, f"line {line}", "it is blank", REMEDY)


def alike(parts: list[pa.Array]) -> pa.Array:
    """Returns the blocks of a column as one; numbers join texts as texts."""
    kinds = {part.type for part in parts}
    if len(kinds) > 1:
        parts = [part.cast(pa.string()) for part in parts]
    return pa.concat_arrays(parts)


def json_rows(path: Path, block: Block) -> Iterator[dict[str, Any]]:
    """Yields the objects of a block, nested ones as slash paths.

    Raises:
      DamagedRecordingError: A line is no JSON object.
    """
    for number, line in enumerate(io.BytesIO(block.data)):
        try:
            row = parsed(line)
            if not isinstance(row, dict):
                raise ValueError(
                    f"a JSON {type(row).__name__} where a row is an object"
                )
            flat = flattened(row)
        except (ValueError, RecursionError) as error:
            where = f"line {block.first_line + number}"
            raise damaged(path, where, str(error)[:300], REMEDY) from error
        yield flat


def numbers_of_cells(
    path: Path,
    name: str,
    cells: Union[pa.Array, np.ndarray],
    first_line: int,
    missing: str,
    dialect: Dialect = POINTED,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the numbers of a column, and which rows have one.

    Args:
      path: The file.
      name: The column.
      cells: [N] numbers, with nulls or without, or texts.
      first_line: Of the first cell.
      missing: 'refuse' or 'skip': what an empty cell or a NaN does.
      dialect: How numbers are written that are texts.

    Returns:
      int64, float64 or bool [M], and bool [N] with M true.

    Raises:
      DamagedRecordingError: A cell is no number, or missing under 'refuse'.
    """
    if isinstance(cells, np.ndarray):
        return cells, np.ones(len(cells), dtype=bool)
    is_text = pa.types.is_string(cells.type)
    trimmed = pc.utf8_trim_whitespace(cells) if is_text else cells
    absent = (
        pc.is_in(trimmed, value_set=pa.array(EMPTY)) if is_text else pc.is_null(cells)
    )
    there = ~np.asarray(absent.to_numpy(zero_copy_only=False), dtype=bool)
    if missing == REFUSE and not there.all():
        row = int(np.flatnonzero(~there)[0])
        told = cells[row].as_py()
        _refuse_missing(path, name, first_line + row, told or "empty or NaN")
    kept = trimmed if there.all() else trimmed.filter(pa.array(there))
    if not is_text:
        # A copy, for the cells may be some of many that are held until it is gone.
        return np.array(kept.to_numpy(zero_copy_only=False)), there
    values = _cast(dialect.pointed(kept))
    if values is None:
        row = _first_wrong(dialect.pointed(kept))
        line = first_line + int(np.flatnonzero(there)[row])
        rule = f"{name} is {kept[row].as_py()!r}, which is no number"
        raise damaged(path, f"line {line}", rule, REMEDY)
    return values, there


def _refuse_missing(path: Path, name: str, line: int, cell: Any) -> None:
    rule = f"{name} is {cell}: there is no value"
    remedy = (
        "mend the line; or say missing: skip in the options, if fields have values "
    )
    raise damaged(path, f"line {line}", rule, remedy + "at different times")


def _cast(texts: pa.Array) -> Optional[np.ndarray]:
    for kind in (pa.int64(), pa.float64()):
        try:
            values = np.asarray(texts.cast(kind).to_numpy(zero_copy_only=False))
        except pa.ArrowInvalid:
            continue
        if may_be_rounded(values):
            return array_of_texts(texts.to_pylist(), values)
        return values
    lowered = pc.utf8_lower(texts)
    if pc.all(pc.is_in(lowered, value_set=pa.array(["true", "false"]))).as_py():
        return np.asarray(pc.equal(lowered, "true").to_numpy(zero_copy_only=False))
    return None


def _first_wrong(texts: pa.Array) -> int:
    for row in range(len(texts)):
        if _cast(texts[row : row + 1]) is None:
            return row
    return 0


def nanoseconds_of_texts(
    texts: pa.Array, dialect: Dialect = POINTED
) -> Optional[np.ndarray]:
    """Returns int64 nanoseconds of seconds written as decimals, to the last digit.

    A float64 of seconds since 1970 is up to 120 ns off; None where a text is no plain
    decimal with at most nine places.
    """
    try:
        plain = dialect.pointed(pc.utf8_trim_whitespace(texts))
        exact = plain.cast(pa.decimal128(20, 9))
        whole = pc.multiply(exact, pa.scalar(1_000_000_000, pa.decimal128(10, 0)))
        return np.asarray(whole.cast(pa.int64()).to_numpy(zero_copy_only=False))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def numbers_of_values(
    path: Path, name: str, values: Sequence[Any], first_line: int, missing: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns JSON values as an array [M, …], and which rows have one, bool [N].

    Raises:
      DamagedRecordingError: Values differ in kind or length, or one is missing.
    """
    there = np.array([not _is_missing(value) for value in values], dtype=bool)
    if missing == REFUSE and not there.all():
        row = int(np.flatnonzero(~there)[0])
        _refuse_missing(path, name, first_line + row, values[row])
    kept = [value for value, has in zip(values, there) if has]
    shape: Optional[tuple[int, ...]] = None
    is_text = False
    for row, value in zip(np.flatnonzero(there), kept):
        found = (_shape_of(value), isinstance(value, str))
        if shape is None and found[0] is not None:
            shape, is_text = found
        elif found != (shape, is_text):
            rule = f"{name} is {str(value)[:60]!r}, unlike the rows before"
            raise damaged(path, f"line {first_line + int(row)}", rule, REMEDY)
    if is_text:
        texts = np.empty(len(kept), dtype=object)
        texts[:] = kept
        return texts, there
    array = array_of(kept)
    if array.dtype.kind not in "biuf":
        rule = f"{name} holds {array.dtype}, neither numbers nor texts"
        raise damaged(path, f"line {first_line}", rule, REMEDY)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        line = first_line + int(np.flatnonzero(there)[row])
        _refuse_missing(path, name, line, kept[row])
    return array, there


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not np.isfinite(value))


def _shape_of(value: Any) -> Optional[tuple[int, ...]]:
    """Returns the shape of nested lists; None for ragged ones."""
    if not isinstance(value, list):
        return ()
    shapes = {_shape_of(item) for item in value}
    if len(shapes) > 1 or None in shapes:
        return None
    inner = shapes.pop() if shapes else ()
    return (len(value), *(inner or ()))
