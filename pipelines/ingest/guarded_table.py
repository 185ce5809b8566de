"""Reads a table in a process of its own, so that a hostile file costs one episode.

Damaged files make libraries in C crash, or loop for ever where no exception reaches.
The child that then dies or falls silent is replaced, and the segment that it was on is
what is damaged; the others are read as if nothing had been.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Optional

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.guard_wire import (
    ClosedError,
    SharedMemory,
    SilentError,
    Wire,
    receive_segment,
)
from thresher.pipelines.ingest.recording import (
    Contents,
    DamagedRecordingError,
    EpisodeTable,
    FieldInfo,
    Segment,
    SegmentPointer,
)
from thresher.pipelines.ingest.table_rules import MAX_SEGMENT_BYTES, damaged, flag

# Reading says that it lives with every frame and column; none takes this long.
SILENT_SECONDS = 60.0
_GUARDED = "guarded"
# Importing NumPy from a slow disk on a busy machine.
_START_SECONDS = 300.0
_CHILD_MODULE = "thresher.pipelines.ingest.guard_child"
_REMEDY = "copy the file again, or leave it out"
# Segments are alike, so memory freed after one is wanted for the next; given back to
# the system in between, its pages would be found and cleared anew, which costs more
# than reading them.
_KEEP_PAGES = {
    "MALLOC_MMAP_THRESHOLD_": str(MAX_SEGMENT_BYTES),
    "MALLOC_TRIM_THRESHOLD_": str(MAX_SEGMENT_BYTES),
}


class GuardedTable:
    """A table whose reader lives in a child.

    Attributes:
      path: The recording.
      format: The reader's name of its format.
      reader: The class that reads, made in the child by path and options.
    """

    path: Path
    format: str = ""
    reader: ClassVar[Any]

    def __init__(self, path: Path, options: Mapping[str, str]) -> None:
        """Has the options looked at; the file's head is read by the first question.

        Args:
          path: The recording.
          options: The reader's; and `guarded`, 'false' to read in this process, 'true'
            to read in a child; if not given, what `wants_guard` says.

        Raises:
          UserError: As the reader says.
        """
        self.path = path
        self._options = {n: v for n, v in options.items() if n != _GUARDED}
        # Most mistakes are told at once, without a child.
        reader = self.reader(path, self._options)
        usual = "true" if self.wants_guard(options) else "false"
        is_guarded = flag({_GUARDED: usual, **options}, _GUARDED)
        self._plain: Optional[EpisodeTable] = None if is_guarded else reader

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path is of the format."""
        return bool(cls.reader.recognises(path))

    @classmethod
    def wants_guard(cls, options: Mapping[str, str]) -> bool:
        """Whether files meet a library that damage can break, if read so."""
        return True

    def contents(self) -> Contents:
        """Returns what the reader says of the recording."""
        if self._plain is not None:
            return self._plain.contents()
        with _CHILD.lock:
            said = _told(self._ask("contents"), self.path, "")
        fields = [
            FieldInfo(**{**field, "shape": _tuple(field["shape"])})
            for field in said.pop("fields")
        ]
        return Contents(fields=fields, **said)

    def pointers(self) -> Iterator[SegmentPointer]:
        """Yields what the reader lists."""
        if self._plain is not None:
            yield from self._plain.pointers()
            return
        listed: list[SegmentPointer] = []
        with _CHILD.lock:
            batch = _told(self._ask("pointers"), self.path, "")["pointers"]
            while batch:
                listed += [SegmentPointer(**pointer) for pointer in batch]
                batch = _told(_CHILD.receive(self.path, ""), self.path, "")["pointers"]
        yield from listed

    def read(self, pointer: SegmentPointer, fields: Sequence[str]) -> Segment:
        """Returns what the reader reads.

        Raises:
          DamagedRecordingError: Also where the reader's process died or hung.
        """
        if self._plain is not None:
            return self._plain.read(pointer, fields)
        with _CHILD.lock:
            said = self._ask("read", pointer=vars(pointer), fields=list(fields))
        if isinstance(said, Segment):
            return said
        _told(said, self.path, pointer.position)
        raise AssertionError(said)

    def _ask(self, what: str, **more: Any) -> Any:
        request = {
            "do": what,
            "make": f"{self.reader.__module__}:{self.reader.__qualname__}",
            "path": str(self.path),
            "options": self._options,
            **more,
        }
        position = more.get("pointer", {}).get("position", "")
        return _CHILD.ask(request, self.path, position)


def _tuple(shape: Optional[list[int]]) -> Optional[tuple[int, ...]]:
    return None if shape is None else tuple(shape)


def _told(said: Any, path: Path, position: str) -> dict[str, Any]:
    """Returns an answer; raises the error that it is."""
    kind = said.get("error")
    if kind == "damaged":
        raise DamagedRecordingError(said["message"])
    if kind == "user":
        raise UserError(said["message"])
    if kind == "memory":
        raise damaged(path, position, "reading it takes too much memory", _REMEDY)
    if kind == "fault":
        raise RuntimeError(f"reading {path}, {position} failed:\n{said['message']}")
    return dict(said)


class _Child:
    """The one child of this process, started when asked and replaced when it fails."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._process: Optional[subprocess.Popen] = None
        self._wire: Optional[Wire] = None
        self._owner = 0

    def ask(self, request: Mapping[str, Any], path: Path, position: str) -> Any:
        """Returns the first answer to a request: a segment or a message."""
        # A process that was forked from ours must not talk over our socket.
        if self._wire is None or self._owner != os.getpid():
            self._start()
        assert self._wire is not None
        try:
            self._wire.send(request)
        except OSError:
            # It died between two requests, which is nobody's damage.
            self._end()
            self._start()
            self._wire.send(request)
        return self.receive(path, position)

    def receive(self, path: Path, position: str) -> Any:
        """Returns the next answer.

        Raises:
          DamagedRecordingError: The child died or fell silent over it.
        """
        assert self._wire is not None
        try:
            return receive_segment(self._wire)
        except SilentError:
            rule = f"reading it gives no sign of life for {SILENT_SECONDS:.0f} s"
        except ClosedError:
            rule = f"reading it crashes the library ({self._how_it_died()})"
        self._end()
        raise damaged(path, position, rule, _REMEDY)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        memory = os.memfd_create("thresher-segment")
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    _CHILD_MODULE,
                    str(theirs.fileno()),
                    str(memory),
                ],
                pass_fds=[theirs.fileno(), memory],
                env={**os.environ, **_KEEP_PAGES},
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._wire = Wire(ours, SharedMemory(memory))
        self._owner = os.getpid()
        ours.settimeout(_START_SECONDS)
        try:
            self._wire.receive()
        except (ClosedError, SilentError) as error:
            self._end()
            raise UserError(
                f"the process that reads tables does not start ({sys.executable} -m "
                f"{_CHILD_MODULE}); does `{sys.executable} -c 'import thresher'` work?"
            ) from error
        ours.settimeout(SILENT_SECONDS)

    def _how_it_died(self) -> str:
        assert self._process is not None
        code = self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def _end(self) -> None:
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        if self._wire is not None:
            self._wire.close()
        self._process = self._wire = None

    def close(self) -> None:
        """Ends the child, at the end of this process."""
        with self.lock:
            self._end()


_CHILD = _Child()


def close_child() -> None:
    """Ends the child of this process; the next question starts another."""
    _CHILD.close()


atexit.register(close_child)
