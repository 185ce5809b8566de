"""Processes of this machine that run units, each of which may die without harm.

Beam's own `multi_processing` waits for ever once one of its workers was killed, and has
been seen to lose elements. Here a worker that dies (killed, out of memory, crashed in a
library) costs the one unit it was at; another takes its place.
"""

from __future__ import annotations

import collections
import contextlib
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from multiprocessing.connection import Connection, Pipe
from typing import Optional

from thresher.pipelines.unit import Refusal, Unit

# How many units are pickled ahead of the workers: enough that none waits for one.
_AHEAD = 2


class WorkerLostError(RuntimeError):
    """A worker process ended while it was at a unit."""


class UnitHost:
    """One process that runs units, started when it is first needed."""

    def __init__(self) -> None:
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._pipe: Optional[Connection] = None

    def run(self, unit: Unit) -> Optional[Refusal]:
        """Runs a unit in the process.

        Returns:
          Why it was not done, or None.

        Raises:
          WorkerLostError: The process died of it; the next unit gets another.
        """
        if self._pipe is None:
            self._start()
        assert self._pipe is not None
        try:
            self._pipe.send(unit)
            said: Optional[Refusal] = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerLostError(f"a worker {self._obituary()}") from error
        return said

    def kill(self) -> None:
        """Ends the process, also from another thread than the one that waits for it."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Ends the process and forgets it."""
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.wait()
            self._pipe.close()
        self._process = self._pipe = None

    def _start(self) -> None:
        ours, theirs = Pipe()
        paths = os.pathsep.join(filter(None, sys.path))
        # The worker holds its own end of the pipe only, so that it ends when this
        # process does, however that ends.
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "thresher.pipelines.unit_worker",
                str(theirs.fileno()),
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            # Ctrl-C is for this process, which stops its workers itself.
            start_new_session=True,
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": paths},
        )
        theirs.close()
        self._pipe = ours

    def _obituary(self) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            code = None
        self.close()
        if code is None:
            return "closed its pipe and went on"
        if code < 0:
            return (
                f"process was killed by signal {-code} (9 is also what the system uses "
                "when memory runs out: try fewer workers)"
            )
        return f"process ended with status {code}"


class HostCrowd:
    """Runs units in several processes, as many at once; used by one thread."""

    def __init__(self, count: int) -> None:
        self._hosts = [UnitHost() for _ in range(count)]
        self._idle: queue.SimpleQueue[UnitHost] = queue.SimpleQueue()
        for host in self._hosts:
            self._idle.put(host)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="unit")
        self._running: set[Future[Optional[Refusal]]] = set()
        self._most = count * (1 + _AHEAD)
        self._stopping = False
        self.refused: list[Refusal] = []
        self.lost: collections.deque[str] = collections.deque(maxlen=5)

    def submit(self, unit: Unit) -> None:
        """Takes a unit to run; waits while enough of them are waiting already."""
        if self._stopping:
            return
        while len(self._running) >= self._most:
            self._collect(FIRST_COMPLETED)
        self._running.add(self._threads.submit(self._run, unit))

    def finish(self) -> None:
        """Waits until all units that were taken are done or refused, or were lost."""
        while self._running:
            self._collect(FIRST_COMPLETED)

    def close(self) -> None:
        """Ends all processes; units under way are given up."""
        self._stopping = True
        self._threads.shutdown(wait=False)
        # Again and again, for one of them may just be starting.
        while wait(self._running, timeout=0.1).not_done:
            for host in self._hosts:
                host.kill()
        for host in self._hosts:
            host.close()

    def _collect(self, until: str) -> None:
        done, self._running = wait(self._running, return_when=until)
        for future in done:
            try:
                refusal = future.result()
            except WorkerLostError as error:
                self.lost.append(str(error))
            else:
                if refusal is not None:
                    self.refused.append(refusal)

    def _run(self, unit: Unit) -> Optional[Refusal]:
        if self._stopping:
            return None
        host = self._idle.get()
        try:
            return host.run(unit)
        finally:
            self._idle.put(host)


_OPEN: list[HostCrowd] = []


def open_crowd() -> Optional[HostCrowd]:
    """Returns the processes that this process runs its units in, if there are any."""
    return _OPEN[-1] if _OPEN else None


@contextlib.contextmanager
def crowd_of(count: int) -> Iterator[HostCrowd]:
    """Has units of this process run in processes of their own; none outlives this.

    Those of an enclosing block are used again, however many they are: starting one and
    importing what its units need takes seconds.
    """
    crowd = open_crowd()
    if crowd is not None:
        yield crowd
        return
    crowd = HostCrowd(count)
    _OPEN.append(crowd)
    try:
        yield crowd
    finally:
        _OPEN.remove(crowd)
        crowd.close()
