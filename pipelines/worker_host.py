"""Keeps episode workers alive: watches, kills, replaces and counts them.

A physics engine may crash, hang or turn to nonsense, and then its process is worth
nothing. So each world lives in a process of its own; the host gives it jobs and wants
a sign of life for each episode. Whatever happens to it, the host starts another and
has the job done again, from its first episode: the outcome is the same.

An episode during which a worker failed twice the same way is itself the cause. It is
drawn again, from another stream of the same seed, and its metadata say so.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from thresher.episodes.errors import UserError
from thresher.pipelines.faults import Fault, FaultKind

FAILURES_BEFORE_REDRAW = 2
MAX_DRAWINGS = 3
# Importing TensorFlow, loading a policy and the shapes of a thousand objects.
STARTUP_SECONDS = 300.0


class StoppedError(Exception):
    """A worker was stopped with the run that it belonged to."""


class WorkerHost:
    """One worker at a time, replaced when it fails."""

    def __init__(
        self,
        log: Path,
        episode_seconds: float,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Starts nothing yet.

        Args:
          log: Gets what the workers print.
          episode_seconds: Longest that one episode may take.
          stopping: Whether the run is being stopped, so that a worker's end is no
            failure.
        """
        self._log = log
        self._stopping = stopping
        self._episode_seconds = episode_seconds
        self._worker: _Worker | None = None

    def run(self, job: Mapping[str, Any], faults: Path) -> dict[str, Any]:
        """Has a job done and returns what the worker said of it.

        Args:
          job: As `episode_worker.run_job` wants it, without 'attempts'.
          faults: File that gets a line for every failure.

        Raises:
          UserError: What the worker refused, or an episode that fails however often
            it is drawn.
          StoppedError: The run is being stopped.
        """
        failures: Counter[int] = Counter()
        while True:
            drawn = {
                number: count // FAILURES_BEFORE_REDRAW
                for number, count in failures.items()
            }
            outcome = self._try({**job, "attempts": drawn})
            if not isinstance(outcome, _Failure):
                return outcome
            if self._stopping():
                raise StoppedError("the run is being stopped")
            number = outcome.episode
            fault = Fault(outcome.kind, number, drawn.get(number, 0), outcome.detail)
            fault.append_to(faults)
            failures[number] += 1
            if failures[number] == FAILURES_BEFORE_REDRAW * MAX_DRAWINGS:
                raise UserError(
                    f"episode {number} failed {failures[number]} times "
                    f"({outcome.kind.value}: {outcome.detail}); {self._log} holds what "
                    "the world printed; what is collected stays, and the same command "
                    "goes on from it"
                )

    def close(self) -> None:
        """Kills the worker, if there is one."""
        # Two threads may close at once when a run is interrupted: one gets the worker.
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()

    def _try(self, job: Mapping[str, Any]) -> dict[str, Any] | _Failure:
        if self._worker is None:
            self._worker = _Worker(self._log)
        worker = self._worker
        number = int(job["first"])
        patience = STARTUP_SECONDS if worker.is_new else self._episode_seconds
        worker.give(job)
        while True:
            message = worker.message(patience)
            if "episode" in message:
                number = message["episode"]
                patience = max(
                    self._episode_seconds, STARTUP_SECONDS if worker.is_new else 0
                )
                worker.is_new = False
            elif "outcomes" in message:
                return message
            elif "refused" in message:
                raise UserError(message["refused"])
            else:
                self.close()
                kind, detail = next(iter(message.items()))
                return _Failure(FaultKind(kind), number, detail)


class _Failure:
    def __init__(self, kind: FaultKind, episode: int, detail: str) -> None:
        self.kind, self.episode, self.detail = kind, episode, detail


class _Worker:
    """A process and the pipe on which it tells of its work."""

    def __init__(self, log: Path) -> None:
        read, write = os.pipe()
        paths = os.pathsep.join(filter(None, sys.path))
        with open(log, "ab") as printed:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "thresher.pipelines.episode_worker", str(write)],
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                pass_fds=[write],
                # Ctrl-C is for the parent, which stops the workers itself.
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": paths},
            )
        os.close(write)
        self._pipe = read
        self._unread = b""
        self.is_new = True

    def give(self, job: Mapping[str, Any]) -> None:
        """Sends a job; a dead worker is noticed by `message`."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()

    def message(self, seconds: float) -> dict[str, Any]:
        """Returns what it says next, or {'hang' or 'crash': what is known}."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._pipe], [], [], left)[0]:
                return {"hang": f"no sign of life for {seconds:g} s"}
            received = os.read(self._pipe, 65536)
            if not received:
                return {"crash": f"its process ended with {self._process.wait()}"}
            self._unread += received
        line, self._unread = self._unread.split(b"\n", 1)
        said: dict[str, Any] = json.loads(line)
        return said

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        os.close(self._pipe)


class HostPool:
    """The hosts of one process, lent to whichever of its threads has work."""

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[WorkerHost] = queue.SimpleQueue()
        self._hosts: list[WorkerHost] = []
        self._stopping = False

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Lets hosts be lent; none of their workers outlives the block."""
        self._stopping = False
        try:
            yield
        finally:
            self._stopping = True
            self._kill_all()

    @contextlib.contextmanager
    def host(self, log: Path, episode_seconds: float) -> Iterator[WorkerHost]:
        """Lends an idle host, or a new one.

        Raises:
          StoppedError: The run is being stopped.
        """
        if self._stopping:
            raise StoppedError("the run is being stopped")
        try:
            host = self._idle.get_nowait()
        except queue.Empty:
            host = WorkerHost(log, episode_seconds, lambda: self._stopping)
            self._hosts.append(host)
        try:
            yield host
        finally:
            self._idle.put(host)

    def _kill_all(self) -> None:
        while not self._idle.empty():
            self._idle.get_nowait()
        for host in self._hosts:
            host.close()
        self._hosts.clear()
