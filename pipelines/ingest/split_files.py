"""The files that a recording was split into, and which of them are not there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

# Recorders number the files that they split from 0: run_0.bag, run_1.db3, run_2.mcap.
_NUMBERED = re.compile(r"(.*_)(\d{1,6})(\.\w+)(\.zstd)?")


def missing_before(files: Sequence[Path]) -> dict[int, str]:
    """Returns what is told of files that are missing before others.

    Args:
      files: Of one recording.

    Returns:
      By the place in `files` of the one behind each gap; empty where they are not
      numbered, or not from 0.
    """
    found = [_NUMBERED.fullmatch(file.name) for file in files]
    if len({match and match[1] for match in found}) != 1 or found[0] is None:
        return {}
    places = {int(match[2]): n for n, match in enumerate(found) if match}
    numbers = sorted(places)
    if numbers[0] != 0:
        return {}
    stem = found[0][1]
    return {
        places[after]: f"{stem}{before + 1} is missing"
        if after == before + 2
        else f"{stem}{before + 1} to {stem}{after - 1} are missing"
        for before, after in zip(numbers, numbers[1:])
        if after > before + 1
    }


def lost_piece(missing: str, file: Path) -> str:
    """Returns the problem of a log that lacks what stood before one of its files."""
    return (
        f"{missing} before {file.name}: what it held is lost; copy it from the recorder"
    )
