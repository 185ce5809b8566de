"""What a person sees of a running training, and how they stop it."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Optional

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

# The shown loss is an average over about this many steps: single batches jump.
_SMOOTHED_STEPS = 50


class TrainingProgress:
    """A progress bar with the loss and the time left."""

    def __init__(self, first_step: int, total: int) -> None:
        self._progress = Progress(
            TextColumn("Training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task(
            "train", total=total, completed=first_step, loss="-"
        )
        self._loss: Optional[float] = None

    def update(self, step: int, loss: float) -> None:
        """Shows that a step is done."""
        earlier = loss if self._loss is None else self._loss
        self._loss = earlier + (loss - earlier) / _SMOOTHED_STEPS
        self._progress.update(self._task, completed=step, loss=f"{self._loss:.3f}")

    def __enter__(self) -> TrainingProgress:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._progress.stop()


class StopRequest:
    """Turns the first Ctrl-C or SIGTERM into a request, true once it was made.

    So a step under way is finished and a checkpoint written; a second signal acts as
    it always does. Outside the main thread signals are left alone.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self._asked

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._give_back()

    def _ask(self, number: int, frame: Optional[FrameType]) -> None:
        self._asked = True
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
