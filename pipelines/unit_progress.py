"""How far a unit is, told while it runs: a small file beside its own, gone at the end.

Most units take seconds, and their files tell enough. One that reads a log of 20 GB
takes minutes, in a process or on a machine of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from thresher.pipelines.unit import Unit

SUFFIX = ".reached"
_SECONDS = 1.0


@contextmanager
def telling(unit: Unit, reached: Callable[[], int]) -> Iterator[None]:
    """Tells every second how much of its size a unit has done.

    Args:
      unit: What is under way.
      reached: Returns how much is done, in the unit of `Unit.size`; called from a
        thread of its own.
    """
    file = progress_file(unit)
    stop = threading.Event()

    def tell() -> None:
        while not stop.wait(_SECONDS):
            _tell(file, min(unit.size, reached()))

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        file.unlink(missing_ok=True)


def progress_file(unit: Unit) -> Path:
    """Returns where a unit tells how far it is."""
    return unit.path.with_name(unit.path.name + SUFFIX)


def told_progress(unit: Unit) -> int:
    """Returns how much of a unit was done when it last told; 0 if it did not.

    Never all of it: that its file says.
    """
    try:
        return min(unit.size - 1, max(0, int(progress_file(unit).read_text() or 0)))
    except (OSError, ValueError):
        return 0


def _tell(file: Path, reached: int) -> None:
    """Writes the number; whoever reads half of it reads another one a second later."""
    # A worker that was given up must not bring its folder back; on a full disk there
    # are better messages than this one.
    try:
        file.write_text(str(reached))
    except OSError:
        return
