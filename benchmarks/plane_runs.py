"""Runs one command and says what it took: wall time, processor time, memory.

Processor time is that of the command and of all its children, so a rate a core can be
told even while other work shares the processors. Memory is that of the whole tree of
processes: what each had resident at its worst, as the kernel keeps it, and from samples
what of it was its own.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from thresher.episodes.run_record import code_revision

SAMPLE_SECONDS = 0.05
_WORKER = "unit_worker"
BIN = Path(sys.executable).parent
THRESHER, TFDS = str(BIN / "thresher"), str(BIN / "tfds")


class Results:
    """Records of what was measured, one JSON line each: what is there is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._found = {one["what"]: one for one in map(json.loads, lines)}

    def get(self, what: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Returns the record of a name, measured now if it was not before."""
        if what not in self._found:
            load = os.getloadavg()[0]
            record = {
                "what": what,
                **measure(),
                "load_before": round(load, 2),
                "code": code_revision(),
                "date": str(datetime.datetime.now(datetime.timezone.utc).date()),
            }
            self._found[what] = record
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "a") as file:
                file.write(json.dumps(record) + "\n")
            print(json.dumps(record), flush=True)
        return self._found[what]

    def all(self, prefix: str) -> list[dict[str, Any]]:
        """Returns what was measured under names that begin so."""
        return [one for what, one in self._found.items() if what.startswith(prefix)]

    def one(self, what: str) -> dict[str, Any]:
        """Returns a record; empty if it was not measured."""
        return self._found.get(what, {})

    def beyond(self, prefix: str, sizes: tuple[str, str], field: str) -> float:
        """Returns the median of a field at a size, less that at a small one."""
        few, all_ = (
            median(one[field] for one in self.all(f"{prefix}/{size}/"))
            for size in sizes
        )
        return all_ - few


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a command took.

    Attributes:
      seconds: Wall time.
      cpu_seconds: Of all its processes, user and system.
      memory: Peaks in bytes by kind; empty if they were not sampled.
    """

    seconds: float
    cpu_seconds: float
    memory: dict[str, int] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return dataclasses.asdict(self)


def run(command: Sequence[str], log: Path, sampled: bool = False) -> Taken:
    """Runs a command to its end.

    Args:
      command: Program and arguments.
      log: Gets what it prints.
      sampled: Whether to watch its memory, which costs some processor time itself.

    Raises:
      RuntimeError: It failed; the message holds the end of what it printed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    began = time.perf_counter()
    with open(log, "wb") as printed:
        process = subprocess.Popen(
            command, stdout=printed, stderr=printed, env=environment
        )
    watch = _Watch(process.pid) if sampled else None
    # Of the process and of every descendant that was waited for.
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    memory = watch.peaks() if watch else {}
    if process.returncode:
        tail = log.read_bytes()[-3000:].decode(errors="replace")
        raise RuntimeError(f"{' '.join(command)} ended with {status}: {tail}")
    return Taken(seconds, usage.ru_utime + usage.ru_stime, memory)


def _high_water(pid: int) -> int:
    """Returns the most bytes that a process ever had resident; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(next(found, "0")) * 1024


class _Watch:
    """Samples the memory of a process and its descendants until it ends."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._peaks: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample_on, daemon=True)
        self._thread.start()

    def peaks(self) -> dict[str, int]:
        """Returns the peaks; the process has ended."""
        self._stop.set()
        self._thread.join()
        return self._peaks

    def _sample_on(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            try:
                self._sample()
            except psutil.Error:
                continue  # One of them ended while it was looked at.

    def _sample(self) -> None:
        tree = {"tree_rss": 0, "tree_pss": 0}
        for process in [self._root, *self._root.children(recursive=True)]:
            held = process.memory_full_info()
            is_worker = any(_WORKER in word for word in process.cmdline())
            kind = "worker" if is_worker else "parent"
            if not is_worker and process.pid != self._root.pid:
                kind = "other"
            tree["tree_rss"] += held.rss
            tree["tree_pss"] += held.pss
            for name in ("uss", "pss"):
                self._raise(f"{kind}_{name}", getattr(held, name))
            self._raise(f"{kind}_rss", max(held.rss, _high_water(process.pid)))
        for name, value in tree.items():
            self._raise(name, value)

    def _raise(self, name: str, value: int) -> None:
        self._peaks[name] = max(self._peaks.get(name, 0), value)
