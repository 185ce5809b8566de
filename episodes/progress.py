"""One progress line for all long work: how far, how fast, how much longer."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # rich takes a tenth of a second to import: only where it is shown
    from rich.progress import Progress

# Logs want to know that work goes on, not every step of it.
_LOG_SECONDS = 15.0


class ProgressBar:
    """Progress of one piece of work; made by `progress`."""

    def __init__(self, title: str, total: int, done: int) -> None:
        self._title = title
        self._total = total
        self._done = self._began_at = done
        self._began = self._logged = time.monotonic()
        is_bytes = title.endswith("(bytes)")
        self._bar = _terminal_bar(is_bytes) if sys.stderr.isatty() else None
        if self._bar is not None:
            self._task = self._bar.add_task(title, total=total, completed=done, note="")

    def start(self) -> None:
        """Shows the bar."""
        if self._bar is not None:
            self._bar.start()

    def stop(self) -> None:
        """Leaves the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, note: str = "", by: int = 1) -> None:
        """Moves on by some units; `note` says what is worth knowing now."""
        self.update(self._done + by, note)

    def update(self, done: int, note: str = "") -> None:
        """Moves to a number of units done in all."""
        self._done = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=note)
        elif not self._total:
            return
        elif time.monotonic() - self._logged > _LOG_SECONDS or done == self._total:
            self._logged = time.monotonic()
            print(self._line(note), file=sys.stderr, flush=True)

    def _line(self, note: str) -> str:
        if self._done == self._began_at == self._total:
            return f"{self._title}: {self._total:,} were done before"
        rate = (self._done - self._began_at) / max(time.monotonic() - self._began, 1e-6)
        left = (self._total - self._done) / rate if rate else float("inf")
        return (
            f"{self._title}: {self._done:,}/{self._total:,}, {rate:,.1f}/s, "
            f"{left:,.0f} s left{', ' + note if note else ''}"
        )


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[ProgressBar]:
    """Shows progress on stderr: a bar on a terminal, a line now and then in a log.

    Args:
      title: What is under way.
      total: How many units there are.
      done: How many of them an earlier session did.
    """
    bar = ProgressBar(title, total, done)
    bar.start()
    try:
        yield bar
    finally:
        bar.stop()


def _terminal_bar(is_bytes: bool) -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn() if is_bytes else MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
