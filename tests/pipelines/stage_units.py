"""Units that behave as they are told; workers import them from here."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from pathlib import Path

from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write


@dataclasses.dataclass(frozen=True)
class TestUnit:
    """Writes its process id, after what its habit says."""

    __test__ = False

    folder: Path
    number: int
    habit: str = ""
    seconds: float = 0.0
    size: int = 1

    @property
    def path(self) -> Path:
        return self.folder / f"{self.number}.txt"

    @property
    def attempts(self) -> int:
        return len(list(self.folder.glob(f"attempts/{self.number}-*")))

    def run(self) -> None:
        tries = self.folder / "attempts"
        tries.mkdir(exist_ok=True)
        (tries / f"{self.number}-{time.time_ns()}").touch()
        time.sleep(self.seconds)
        if (self.habit == "dies once" and self.attempts == 1) or self.habit == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.habit == "refuses once" and self.attempts == 1:
            raise UserError("the camera is unplugged; plug it in")
        if self.habit == "finds the disk full":
            raise OSError(28, "No space left on device", str(self.path))
        if self.habit == "has a mistake":
            raise KeyError("a mistake in the code")
        atomic_write(self.path, str(os.getpid()))


def units_in(folder: Path, count: int, habits: dict[int, str] | None = None, **more):
    """Units 0, 1, … of a folder; some with habits."""
    folder.mkdir(exist_ok=True)
    habits = habits or {}
    return [TestUnit(folder, n, habits.get(n, ""), **more) for n in range(count)]
