"""The child of this process in which libraries meet files that nobody vouches for.

It is started when asked, replaced when it fails, and asked ahead: while somebody works
on one segment, it reads the one that will probably be wanted next.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.guard_wire import (
    ClosedError,
    SilentError,
    Wire,
    receive_segment,
)
from thresher.pipelines.ingest.shared_memory import SharedMemory
from thresher.pipelines.ingest.table_rules import MAX_SEGMENT_BYTES, damaged

# Reading says that it lives with every frame and column; none takes this long.
SILENT_SECONDS = 60.0
DAMAGE_REMEDY = "copy the file again, or leave it out"
# For a segment that is worked on, one that is handed over, and one that is read.
_MEMORIES = 3
# The child does not take requests while it sends; so much waits in the socket.
_LONGEST_AHEAD = 16 << 10
# Importing NumPy from a slow disk on a busy machine.
_START_SECONDS = 300.0
_DYING_SECONDS = 5.0
_CHILD_MODULE = "thresher.pipelines.ingest.guard_child"
# Segments are alike, so memory freed after one is wanted for the next; given back to
# the system in between, its pages would be found and cleared anew, which costs more
# than reading them.
_KEEP_PAGES = {
    "MALLOC_MMAP_THRESHOLD_": str(MAX_SEGMENT_BYTES),
    "MALLOC_TRIM_THRESHOLD_": str(MAX_SEGMENT_BYTES),
}


@dataclasses.dataclass(frozen=True)
class Asked:
    """A question to the child.

    Attributes:
      request: As `guard_child` takes it.
      path: The recording, for errors.
      position: The segment, for errors; empty for the whole.
    """

    request: Mapping[str, Any]
    path: Path
    position: str = ""


@dataclasses.dataclass(frozen=True)
class _UnderWay:
    """A question whose answer was not received yet.

    Attributes:
      asked: The question.
      number: Of the question; its answer repeats it.
      memory: What a segment comes in.
    """

    asked: Asked
    number: int
    memory: Optional[SharedMemory]


class ReadingProcess:
    """The one child of this process.

    Attributes:
      lock: Held while somebody asks.
      starts: How many children there have been.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.starts = 0
        self._process: Optional[subprocess.Popen] = None
        self._wire: Optional[Wire] = None
        self._numbers = itertools.count()
        self._under_way: deque[_UnderWay] = deque()
        # Whether a question is being asked, by whoever holds the lock.
        self._is_asking = False
        self._unsaid: deque[Asked] = deque()

    @property
    def is_running(self) -> bool:
        """Whether there is a child, as far as is known."""
        return self._wire is not None

    def ask(self, asked: Asked) -> dict[str, Any]:
        """Returns the answer to a question that no segment answers.

        Raises:
          DamagedRecordingError: The child died or fell silent over it.
        """
        with self._asking():
            while self._under_way:
                self._pass_over()
            self._begin(asked, is_segment=False)
            return dict(self._next(asked))

    def read(self, wanted: Asked, ahead: Optional[Asked] = None) -> Any:
        """Returns a segment, or the message that came in its place.

        Args:
          wanted: A segment.
          ahead: One that will probably be wanted next.

        Raises:
          DamagedRecordingError: The child died or fell silent over it.
        """
        with self._asking():
            while self._under_way and self._under_way[0].asked != wanted:
                self._pass_over()
            if not self._under_way:
                self._begin(wanted)
            if ahead is not None:
                self._ask_ahead(ahead)
            said = self._next(wanted)
            if isinstance(said, dict) and "later" in said:
                # It was asked ahead, and there was no room for it then.
                while self._under_way:
                    self._pass_over()
                self._begin(wanted)
                said = self._next(wanted)
            return said

    def say(self, asked: Asked) -> None:
        """Says what needs no answer: now, or before the next question.

        It may be called when a generator is thrown away, which happens anywhere: in
        the middle of a question too, whose answer must not be taken for this one's.
        """
        self._unsaid.append(asked)
        if self._is_asking or not self.lock.acquire(blocking=False):
            return
        try:
            with self._asking():
                while self._under_way:
                    self._pass_over()
        finally:
            self.lock.release()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        with self.lock:
            self._is_asking = True
            try:
                while self._unsaid:
                    asked = self._unsaid.popleft()
                    # A child that is gone has nothing to do any more.
                    if self._wire is not None:
                        with contextlib.suppress(OSError):
                            self._send(asked, None, {})
                yield
            finally:
                self._is_asking = False

    def _begin(self, asked: Asked, is_segment: bool = True) -> None:
        """Asks while nothing is under way."""
        if self._wire is None:
            self._start()
        try:
            self._send(asked, self._free_memory() if is_segment else None, {})
        except OSError:
            # It died between two questions, which is nobody's damage.
            self._end()
            self._start()
            self._send(asked, self._free_memory() if is_segment else None, {})

    def _ask_ahead(self, asked: Asked) -> None:
        memory = self._free_memory()
        if memory is None or len(str(asked.request)) > _LONGEST_AHEAD:
            return
        # If it has died, whoever waits for its next answer will hear of it.
        with contextlib.suppress(OSError):
            self._send(asked, memory, {"ahead": True})

    def _send(
        self, asked: Asked, memory: Optional[SharedMemory], more: dict[str, Any]
    ) -> None:
        assert self._wire is not None
        for one in self._wire.memories:
            if one.is_free and one not in self._taken():
                one.shrink()
        number = next(self._numbers)
        told = {**asked.request, **more, "number": number}
        if memory is not None:
            told["memory"] = self._wire.memories.index(memory)
        with self._ending_if_interrupted():
            self._wire.send(told)
            self._under_way.append(_UnderWay(asked, number, memory))

    def _free_memory(self) -> Optional[SharedMemory]:
        """Returns one that nobody holds; if nothing is under way, there is one."""
        assert self._wire is not None
        for memory in self._wire.memories:
            if memory.is_free and memory not in self._taken():
                return memory
        return None

    def _taken(self) -> list[Optional[SharedMemory]]:
        return [one.memory for one in self._under_way]

    def _next(self, asked: Asked) -> Any:
        """Returns the answer to the first question that is under way.

        Raises:
          DamagedRecordingError: The child died or fell silent over it.
        """
        assert self._wire is not None
        try:
            with self._ending_if_interrupted():
                first = self._under_way.popleft()
                memories = [m for m in self._wire.memories if m is not first.memory]
                # One is never lent.
                lend = any(memory.is_free for memory in memories)
                return receive_segment(self._wire, first.number, first.memory, lend)
        except SilentError:
            rule = f"reading it gives no sign of life for {SILENT_SECONDS:.0f} s"
        except ClosedError:
            rule = f"reading it crashes the library ({self._how_it_died()})"
        self._end()
        raise damaged(asked.path, asked.position, rule, DAMAGE_REMEDY)

    @contextlib.contextmanager
    def _ending_if_interrupted(self) -> Iterator[None]:
        """Ends a child that was left in the middle: its answers would be mistaken.

        What the socket itself raises is met where this is used.
        """
        try:
            yield
        except (OSError, SilentError, ClosedError):
            raise
        except BaseException:
            self._end()
            raise

    def _pass_over(self) -> None:
        """Lets an answer go that nobody wants any more."""
        # If the child dies over it, that is told when somebody wants it.
        with contextlib.suppress(UserError):
            self._next(self._under_way[0].asked)

    def _start(self) -> None:
        try:
            self._start_child()
        except (ClosedError, SilentError) as error:
            self._end()
            raise UserError(
                f"the process that reads tables does not start ({sys.executable} -m "
                f"{_CHILD_MODULE}); does `{sys.executable} -c 'import thresher'` work?"
            ) from error
        except BaseException:
            # What it says later would be taken for an answer.
            self._end()
            raise

    def _start_child(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            memories = [SharedMemory.made() for _ in range(_MEMORIES)]
            self._wire = Wire(ours, memories)
            handles = [theirs.fileno(), *(memory.handle for memory in memories)]
            self._process = subprocess.Popen(
                [sys.executable, "-m", _CHILD_MODULE, *map(str, handles)],
                pass_fds=handles,
                env={**os.environ, **_KEEP_PAGES},
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self.starts += 1
        ours.settimeout(_START_SECONDS)
        self._wire.receive()
        ours.settimeout(SILENT_SECONDS)

    def _how_it_died(self) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(timeout=_DYING_SECONDS)
        except subprocess.TimeoutExpired:
            return "it lives, and its answers make no sense"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._let_go()

    def _let_go(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._process = self._wire = None
        self._under_way.clear()

    def close(self) -> None:
        """Ends the child; the next question starts another."""
        with self.lock:
            self._end()

    def before_fork(self) -> None:
        """Waits for questions to end, and lets what is lent be nobody else's.

        A forked process would see in its copy of a lent array what is read next.
        """
        self.lock.acquire()
        if self._wire and not all(memory.is_free for memory in self._wire.memories):
            self._end()

    def after_fork(self) -> None:
        """Goes on in the process that forked."""
        self.lock.release()

    def after_fork_in_child(self) -> None:
        """Leaves the child to the process that forked."""
        self._let_go()
        self.lock.release()


reading_process = ReadingProcess()
atexit.register(reading_process.close)
os.register_at_fork(
    before=reading_process.before_fork,
    after_in_parent=reading_process.after_fork,
    after_in_child=reading_process.after_fork_in_child,
)
