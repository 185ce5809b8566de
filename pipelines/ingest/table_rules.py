"""What every table reader keeps to: known options and fields, limits, told damage."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.ingest.recording import DamagedRecordingError

# One segment is in memory as a whole, for a moment on both sides of the guard, and the
# rest of a process needs its share of 1 GiB.
MAX_SEGMENT_BYTES = 256 << 20
# Called whenever reading got a step further.
on_progress: list[Callable[[], None]] = []
# The last makes arrays of columns; a guarded reader's, where its host sees them.
array_makers: list[Callable[..., np.ndarray]] = [np.empty]
# An episode of five hours at 1 kHz is a broken header.
MAX_ROWS = 20_000_000
_UNITS_NS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}
_LARGEST_NS = float(2**62)
_LONGEST_NAME, _LONGEST_PATH = 255, 4095


def check_options(
    format_name: str, options: Mapping[str, str], known: Iterable[str]
) -> None:
    """Refuses options that a reader does not have.

    Raises:
      UserError: With the near names.
    """
    choices = list(known)
    for name in options:
        if name not in choices:
            raise unknown_name(f"option of {format_name}", name, choices or ["none"])


def flag(options: Mapping[str, str], name: str) -> bool:
    """Returns an option that is 'true' or 'false' (if not given).

    Raises:
      UserError: It is neither.
    """
    value = str(options.get(name, "false")).lower()
    if value not in ("true", "false"):
        raise UserError(f"option {name}: {value!r} is neither 'true' nor 'false'")
    return value == "true"


def check_fields(path: Path, fields: Sequence[str], known: Iterable[str]) -> None:
    """Refuses fields that a recording has not.

    Raises:
      UserError: With the near names.
    """
    choices = list(known)
    for name in fields:
        if name not in choices:
            raise unknown_name(f"field of {path.name}", name, choices or ["none"])


@contextlib.contextmanager
def telling_damage(path: Path, position: str, remedy: str) -> Iterator[None]:
    """Turns whatever a library makes of broken bytes into one error that says where.

    Raises:
      DamagedRecordingError: The library failed.
    """
    try:
        yield
    except UserError:
        raise
    # A file's bytes decide which of a library's many exceptions it raises.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise damaged(path, position, reason[:500], remedy) from error


def check_path(path: Path) -> None:
    """Checks that there can be a file of that name: asking for others is an error.

    Raises:
      ValueError: It is longer than Linux takes.
    """
    longest = max(len(os.fsencode(part)) for part in path.parts)
    if longest > _LONGEST_NAME:
        raise ValueError(f"a name of {longest} bytes, which no file can have")
    length = len(os.fsencode(path))
    if length > _LONGEST_PATH:
        raise ValueError(f"a path of {length} bytes, which no file can have")


def damaged(path: Path, position: str, rule: str, remedy: str) -> DamagedRecordingError:
    """Returns the error of a recording that cannot be read at a position."""
    where = f"{path}, {position}" if position else str(path)
    return DamagedRecordingError(f"{where}: {rule}; {remedy}")


@dataclasses.dataclass
class Budget:
    """Counts what one segment will hold, and refuses before memory runs out.

    Attributes:
      path: The recording.
      position: The segment.
      left: Bytes that may still be held.
    """

    path: Path
    position: str
    left: int = MAX_SEGMENT_BYTES

    def spend(self, size_bytes: int, field: str) -> None:
        """Takes bytes off before they are allocated.

        Raises:
          DamagedRecordingError: They are more than are left.
        """
        for call in on_progress:
            call()
        self.left -= size_bytes
        if size_bytes < 0 or self.left < 0:
            raise damaged(
                self.path,
                self.position,
                f"{field} declares {size_bytes:,} bytes where a segment may hold "
                f"{MAX_SEGMENT_BYTES:,}",
                "ask for fewer fields, keep pictures as JPEG (option images=jpeg), or "
                "cut the episode",
            )


def new_array(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns an array for a column of the segment that is being read, not cleared."""
    return array_makers[-1](shape, dtype)


def row_times(count: int, first: int = 0) -> np.ndarray:
    """Returns int64 [count]: the times of rows without a clock, one second each."""
    return np.arange(first, first + count, dtype=np.int64) * 1_000_000_000


def clock_times(values: np.ndarray, unit: str, path: Path, position: str) -> np.ndarray:
    """Returns int64 nanoseconds [N] of a clock's values, as recorded, in their order.

    Args:
      values: Numbers [N] or [N, 1].
      unit: 's', 'ms', 'us' or 'ns'.
      path: The recording, for errors.
      position: The segment, for errors.

    Raises:
      UserError: An unknown unit.
      DamagedRecordingError: A value that is no time.
    """
    if unit not in _UNITS_NS:
        raise unknown_name("clock unit", unit, _UNITS_NS)
    remedy = "choose another clock, or mend the column"
    flat = np.asarray(values).reshape(len(values), -1)
    if flat.dtype.kind not in "iuf" or flat.shape[1] != 1:
        raise damaged(
            path,
            position,
            f"the clock holds {flat.dtype} {list(np.shape(values))}, not one number a "
            "row",
            remedy,
        )
    column = flat[:, 0]
    with np.errstate(invalid="ignore", over="ignore"):
        wide = np.abs(column.astype(np.float64)) * _UNITS_NS[unit]
    wrong = ~np.isfinite(column) | ~(wide <= _LARGEST_NS)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise damaged(
            path,
            position,
            f"the clock is {column[row]} {unit} at row {row}, which is no time",
            remedy,
        )
    if column.dtype.kind in "iu":
        return column.astype(np.int64) * int(_UNITS_NS[unit])
    return np.round(column.astype(np.float64) * _UNITS_NS[unit]).astype(np.int64)
