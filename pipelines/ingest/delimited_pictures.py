"""Cells that name pictures: files beside the table, or frames of videos beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from thresher.episodes.spec import Column
from thresher.pipelines.ingest.picture_columns import (
    PictureOption,
    encoded_column,
    encoding_of,
)
from thresher.pipelines.ingest.table_rules import Budget, damaged
from thresher.pipelines.ingest.video import frames_numbered

_SUFFIXES = (".png", ".jpg", ".jpeg")
_LARGEST_PICTURE = 64 << 20
_REMEDY = "mend the cell, or say where paths start with option root"


def looks_like_file(text: str) -> bool:
    """Whether a cell may name a picture file."""
    return text.lower().endswith(_SUFFIXES)


def files_column(
    table: Path, folder: Path, cells: Sequence[str], lines: np.ndarray, budget: Budget
) -> Column:
    """Returns the picture files that cells name.

    Args:
      table: The table's file, for errors.
      folder: What paths in cells start from, and must not leave.
      cells: Relative paths, [N].
      lines: Of the cells, [N].
      budget: What the segment may hold.

    Raises:
      DamagedRecordingError: A file is missing, outside the folder, or no picture.
    """
    frames = []
    for cell, line in zip(cells, lines):
        path = _inside(table, folder, str(cell), int(line))
        size = path.stat().st_size
        if size > _LARGEST_PICTURE:
            rule = f"{cell!r} has {size:,} bytes, too many for a picture"
            raise damaged(table, f"line {line}", rule, _REMEDY)
        budget.spend(size, str(cell))
        frame = path.read_bytes()
        if encoding_of(frame) is None:
            head = frame[:4].hex(" ") or "nothing: it has 0 bytes"
            rule = f"{cell!r} is no PNG or JPEG file: it starts with {head}"
            raise damaged(table, f"line {line}", rule, _REMEDY)
        frames.append(frame)
    return encoded_column(frames)


def frames_column(
    table: Path,
    folder: Path,
    cells: Sequence[str],
    numbers: np.ndarray,
    lines: np.ndarray,
    pictures: PictureOption,
    budget: Budget,
) -> Column:
    """Returns the frames of videos that cells name, by their numbers from 0.

    Args:
      table: The table's file, for errors.
      folder: What paths in cells start from, and must not leave.
      cells: Relative paths of videos, [N].
      numbers: Of frames, [N], not falling within a video.
      lines: Of the cells, [N].
      pictures: How frames are kept.
      budget: What the segment may hold.

    Raises:
      DamagedRecordingError: A video is missing, damaged, or has no such frame.
    """

    def frames() -> Iterator[np.ndarray]:
        first = 0
        for row in range(1, len(cells) + 1):
            if row < len(cells) and cells[row] == cells[first]:
                continue
            path = _inside(table, folder, str(cells[first]), int(lines[first]))
            where = f"lines {lines[first]}-{lines[row - 1]} of {table.name}"
            yield from frames_numbered(path, numbers[first:row], where)
            first = row

    return pictures.keep(frames() if len(cells) else iter(()), budget, "frames")


def _inside(table: Path, folder: Path, cell: str, line: int) -> Path:
    path = folder / cell
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        inside = False
    if not inside or Path(cell).is_absolute():
        rule = f"{cell!r} leaves the folder {folder}"
        raise damaged(table, f"line {line}", rule, _REMEDY)
    if not path.is_file():
        raise damaged(table, f"line {line}", f"{cell!r} is missing", _REMEDY)
    return path
