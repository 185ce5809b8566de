"""Reads annotation files: CSV or Parquet, one row a statement about an episode."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from thresher.episodes.errors import UserError, unknown_name
from thresher.episodes.metadata import Success

LABELS = ("success", "language", "task", "quality")
_IDS = ("episode_id", "source_id")
_OTHERS = ("labeller", "time", "precedence", "confidence", "note")
_YES = ("yes", "true", "1", "1.0", "success")
_NO = ("no", "false", "0", "0.0", "failure")
_PARQUET_MAGIC = b"PAR1"


@dataclasses.dataclass(frozen=True)
class Statement:
    """What one row says.

    Attributes:
      episode: An episode's id, or its source's.
      values: By column of `LABELS`; success as 'yes', 'no' or 'unknown'.
      labeller: Who says so; empty if that is not told.
      time: When, in seconds since 1970; None if that is not told.
      precedence: Rank among labellers who disagree; None for none.
      confidence: Probability that it is right, in [0, 1].
      where: File and row, for reports.
    """

    episode: str
    values: Mapping[str, Any]
    labeller: str
    time: Optional[float]
    precedence: Optional[float]
    confidence: float
    where: str


@dataclasses.dataclass(frozen=True)
class AnnotationFile:
    """The statements of a file.

    Attributes:
      path: The file.
      statements: In the file's order.
    """

    path: Path
    statements: Sequence[Statement]


def read_annotations(path: Path) -> AnnotationFile:
    """Reads a file.

    Raises:
      UserError: It is neither CSV nor Parquet, lacks a column or has an unknown one, or
        holds a value that cannot be; with the row.
    """
    table = _table(path)
    try:
        # Bytes that are no text are found out when they are asked for.
        names, rows = table.column_names, table.to_pylist()
    except UnicodeDecodeError as error:
        raise UserError(
            f"the annotations {path} are not written in UTF-8 ({error}); save them as "
            "CSV in UTF-8, or as Parquet"
        ) from error
    id_column = _id_column(path, names)
    statements = [
        _statement(path, number, row, id_column) for number, row in enumerate(rows)
    ]
    return AnnotationFile(path, statements)


def _table(path: Path) -> pa.Table:
    try:
        with open(path, "rb") as file:
            is_parquet = file.read(4) == _PARQUET_MAGIC
        if is_parquet:
            return pq.read_table(path)
        # Ids are texts even where they look like numbers.
        types = dict.fromkeys((*_IDS, *LABELS, *_OTHERS), pa.string())
        return pa_csv.read_csv(
            path, convert_options=pa_csv.ConvertOptions(column_types=types)
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read the annotations {path}: {error}; give CSV with a head line, "
            "or Parquet"
        ) from error


def _id_column(path: Path, names: Sequence[str]) -> str:
    doubled = [name for name in names if list(names).count(name) > 1]
    if doubled:
        raise UserError(f"{path} has the column {doubled[0]!r} twice; keep one")
    known = (*_IDS, *LABELS, *_OTHERS)
    for name in names:
        if name not in known:
            raise UserError(f"{path}: {unknown_name('column', name, known)}")
    ids = [name for name in _IDS if name in names]
    if len(ids) != 1:
        raise UserError(
            f"{path} has {' and '.join(ids) or 'neither'} of the columns "
            f"{' and '.join(_IDS)}; name episodes by exactly one of them"
        )
    if not any(name in LABELS for name in names):
        raise UserError(f"{path} says nothing; add a column of {', '.join(LABELS)}")
    return ids[0]


def _statement(
    path: Path, number: int, row: Mapping[str, Any], id_column: str
) -> Statement:
    # Row 2 of a CSV file is the first below its head line.
    where = f"{path.name} row {number + 2}"
    episode = row[id_column]
    if episode is None or not str(episode):
        raise UserError(f"{path}, row {number + 2}: {id_column} is empty")
    values = {
        name: _label(path, number, name, row[name])
        for name in LABELS
        if not _is_empty(row.get(name))
    }
    confidence = _number(path, number, "confidence", row.get("confidence"))
    if confidence is not None and not 0 <= confidence <= 1:
        raise UserError(
            f"{path}, row {number + 2}: confidence {confidence} is not between 0 and 1"
        )
    return Statement(
        episode=str(episode),
        values=values,
        labeller=str(row.get("labeller") or ""),
        time=_time(path, number, row.get("time")),
        precedence=_number(path, number, "precedence", row.get("precedence")),
        confidence=1.0 if confidence is None else confidence,
        where=where,
    )


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and value != value)


def _label(path: Path, number: int, name: str, value: Any) -> Any:
    if name == "quality":
        return _number(path, number, name, value)
    if name != "success":
        return str(value)
    word = str(value).strip().lower()
    if word in _YES or word in _NO:
        return Success.YES.value if word in _YES else Success.NO.value
    if word == Success.UNKNOWN.value:
        return word
    raise UserError(
        f"{path}, row {number + 2}: success is {value!r}; write yes, no or unknown"
    )


def _number(path: Path, number: int, name: str, value: Any) -> Optional[float]:
    if _is_empty(value):
        return None
    try:
        read = float(value)
    except (TypeError, ValueError):
        read = math.nan
    if not math.isfinite(read):
        raise UserError(f"{path}, row {number + 2}: {name} is {value!r}, no number")
    return read


def _time(path: Path, number: int, value: Any) -> Optional[float]:
    if _is_empty(value):
        return None
    if isinstance(value, datetime.datetime):
        moment = value
    else:
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
        try:
            # Python 3.9 does not read the Z that others write for UTC.
            moment = datetime.datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        except ValueError as error:
            raise UserError(
                f"{path}, row {number + 2}: time is {value!r}; write it as "
                "2025-03-01T12:00:00 (UTC) or in seconds since 1970"
            ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    return moment.timestamp()
