"""The files that a recording was split into, and which of them are not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

# Recorders number the files that they split from 0: run_0.bag, run_1.db3, run_2.mcap.
_NUMBERED = re.compile(r"(.*_)(\d{1,6})(\.\w+)(\.zstd)?")


def in_order(files: Iterable[Path]) -> list[Path]:
    """Returns files by name, numbered ones by number: run_2 comes before run_10."""
    return sorted(files, key=_rank)


def _rank(file: Path) -> tuple[str, int, str]:
    found = _NUMBERED.fullmatch(file.name)
    return (found[1], int(found[2]), file.name) if found else (file.name, -1, "")


def is_numbered(files: Sequence[Path]) -> bool:
    """Whether several files of one folder have a common name and numbers from 0."""
    places, _ = _places(files)
    return len(places) > 1 and len({file.parent for file in files}) == 1


def lost_before(files: Sequence[Path]) -> dict[int, str]:
    """Returns the problem of a log that lacks what stood before some of its files.

    Args:
      files: Of one recording.

    Returns:
      As `missing_before`, with what is to be done.
    """
    return {
        place: f"{missing} before {files[place].name}: what it held is lost; copy it "
        "from the recorder"
        for place, missing in missing_before(files).items()
    }


def missing_before(files: Sequence[Path]) -> dict[int, str]:
    """Returns what is told of files that are missing before others.

    Args:
      files: Of one recording.

    Returns:
      By the place in `files` of the one behind each gap; empty where they are not
      numbered, or not from 0.
    """
    places, stem = _places(files)
    numbers = sorted(places)
    return {
        places[after]: f"{stem}{before + 1} is missing"
        if after == before + 2
        else f"{stem}{before + 1} to {stem}{after - 1} are missing"
        for before, after in zip(numbers, numbers[1:])
        if after > before + 1
    }


def _places(files: Sequence[Path]) -> tuple[dict[int, int], str]:
    """Returns places by number, and the common name; none where they have none."""
    found = [_NUMBERED.fullmatch(file.name) for file in files]
    if len({match and match[1] for match in found}) != 1 or found[0] is None:
        return {}, ""
    places = {int(match[2]): place for place, match in enumerate(found) if match}
    return (places, found[0][1]) if 0 in places else ({}, "")
