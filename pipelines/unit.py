"""A unit of work: a pure function whose only trace is one file, whole or absent.

Runners bury exceptions, repeat work and lose it, and workers may be on other machines.
So all that is known of a unit is what it left in its folder: its file, if it is done;
else a note of why it would not be done. Both are written aside and renamed, so that
whoever looks, from wherever, sees all of a file or nothing.
"""

from __future__ import annotations

import dataclasses
import enum
import traceback
from pathlib import Path
from typing import Optional, Protocol

from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write


class Unit(Protocol):
    """A piece of work that is a pure function of what it holds.

    Units are pickled to reach their workers, so their class must be importable there:
    not defined in a script that is run as `__main__`.

    Attributes:
      path: The file that is there when, and only when, the unit is done.
      size: How much of the stage it is, in the progress bar's units.
    """

    @property
    def path(self) -> Path:
        """The file that says it is done, in a folder that every worker sees."""
        ...

    @property
    def size(self) -> int:
        """Its part of the stage."""
        ...

    def run(self) -> None:
        """Does the work and leaves `path`, whole, in one rename.

        A runner may have two machines run the same unit at once. That is harmless if
        what is written aside has a name that no other process on any machine uses (as
        `atomic_write` and `tempfile` choose them; a process id is not enough).

        Raises:
          UserError: What only the user can mend; other units go on.
          OSError: What the machine refuses, such as a full disk; told to the user too.
        """
        ...


class Kind(str, enum.Enum):
    """Why a unit was not done, and the suffix of the file that says so."""

    REFUSED = "refused"
    CRASHED = "crashed"


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a unit was not done.

    Attributes:
      kind: REFUSED for what a user can mend, CRASHED for a mistake in the code.
      why: The message, or the traceback.
      kept: Whether it stands in a file; on a full disk it does not.
    """

    kind: Kind
    why: str
    kept: bool


def run_unit(unit: Unit) -> Optional[Refusal]:
    """Runs a unit that is not done, and leaves a note beside its file if it fails.

    Returns:
      Why it was not done; None if it was, or if its file was there before.
    """
    if unit.path.exists():
        return None
    try:
        unit.run()
    except UserError as error:
        return _note(unit, Kind.REFUSED, str(error))
    except OSError as error:
        # What is said of a full disk does not name it.
        where = "" if error.filename else f" (in {unit.path.parent})"
        why = f"{error}{where}; mend that, and the same command goes on"
        return _note(unit, Kind.REFUSED, why)
    except Exception:  # noqa: BLE001
        # Runners retry, wrap or drop exceptions, each in its way; a mistake in the code
        # has to reach whoever can mend it as it was, once, from any machine.
        return _note(unit, Kind.CRASHED, traceback.format_exc())
    return None


def note_file(unit: Unit, kind: Kind) -> Path:
    """Returns where a unit says why it was not done."""
    return unit.path.with_name(f"{unit.path.name}.{kind.value}")


def _note(unit: Unit, kind: Kind, why: str) -> Refusal:
    file = note_file(unit, kind)
    # A worker that was given up may still be at work when its folder is gone: it must
    # not bring the folder back.
    kept = file.parent.is_dir()
    if kept:
        try:
            atomic_write(file, why)
        except OSError:
            kept = False
    return Refusal(kind, why, kept)
