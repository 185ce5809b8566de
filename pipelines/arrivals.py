"""Which units are done, asked of their folders rather than of a hundred thousand files.

Listing a folder is one request where `exists` is one a file. On NFS it is also the
truth: opening a folder makes the client ask the server, whereas a file that was once
looked for in vain may stay invisible for a minute.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from thresher.pipelines.unit import Kind, Unit, note_file
from thresher.pipelines.unit_progress import SUFFIX, progress_file, told_progress


class Arrivals:
    """Keeps track of the units of a stage that are done, or tell how far they are."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.done: list[Unit] = []
        self._under_way: list[Unit] = []
        self._missing: dict[Path, dict[str, Unit]] = {}
        for unit in units:
            path = unit.path
            names = self._missing.setdefault(path.parent, {})
            if path.name in names:
                raise ValueError(f"two units of a stage would write the file {path}")
            names[path.name] = unit

    @property
    def missing(self) -> list[Unit]:
        """The units that were not done at the last look, in their order."""
        return [unit for names in self._missing.values() for unit in names.values()]

    def look(self) -> list[Unit]:
        """Lists each folder that units are missing from, once.

        Returns:
          The units that are done and were not at the last look.
        """
        arrived: list[Unit] = []
        under_way: list[Unit] = []
        for folder, names in self._missing.items():
            for name in file_names(folder) if names else ():
                if name in names:
                    arrived.append(names.pop(name))
                elif name.endswith(SUFFIX) and name[: -len(SUFFIX)] in names:
                    under_way.append(names[name[: -len(SUFFIX)]])
        self.done += arrived
        # A unit may have ended between its being told of and its file's being listed.
        ended = {id(unit) for unit in arrived}
        self._under_way = [unit for unit in under_way if id(unit) not in ended]
        return arrived

    def part_done(self) -> int:
        """Returns how much is done of the units that were seen under way."""
        return sum(told_progress(unit) for unit in self._under_way)

    def forget_progress(self) -> None:
        """Removes what units of an earlier session told, which was killed meanwhile."""
        for unit in self._under_way:
            progress_file(unit).unlink(missing_ok=True)
        self._under_way = []


def file_names(folder: Path) -> Iterator[str]:
    """Yields the names in a folder; none if there is no such folder yet."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name
    except FileNotFoundError:
        return


def take_notes(units: Iterable[Unit]) -> list[tuple[Unit, Kind, str]]:
    """Returns why units were not done, and removes the notes: they may fare better.

    What one attempt at a unit said means nothing once another has done it.
    """
    names: dict[Path, set[str]] = {}
    said = []
    for unit in units:
        folder = unit.path.parent
        if folder not in names:
            names[folder] = {name for name in file_names(folder) if _is_note(name)}
        if not names[folder]:
            continue
        for kind in Kind:
            file = note_file(unit, kind)
            if file.name in names[folder]:
                said.append((unit, kind, file.read_text()))
                file.unlink(missing_ok=True)
    return said


def _is_note(name: str) -> bool:
    return name.endswith(tuple(f".{kind.value}" for kind in Kind))
