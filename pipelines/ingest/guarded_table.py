"""Reads a table in a process of its own, so that a hostile file costs one episode.

Damaged files make libraries in C crash, or loop for ever where no exception reaches.
The child that then dies or falls silent is replaced, and the segment that it was on is
what is damaged; the others are read as if nothing had been.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Optional

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.guard_process import (
    DAMAGE_REMEDY,
    Asked,
    reading_process,
)
from thresher.pipelines.ingest.recording import (
    Contents,
    DamagedRecordingError,
    EpisodeTable,
    FieldInfo,
    Segment,
    SegmentPointer,
)
from thresher.pipelines.ingest.table_rules import damaged, flag

_GUARDED = "guarded"
_LARGEST_AHEAD = 16 << 20
# Pointers that are asked for at once.
_BATCH = 500
_listings = itertools.count()


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
        usual = "true" if self.wants_guard(path, options) else "false"
        is_guarded = flag({_GUARDED: usual, **options}, _GUARDED)
        self._plain: Optional[EpisodeTable] = None if is_guarded else reader
        self._state = _state(path)
        # Pointers that were yielded last and not yet read.
        self._listed: deque[SegmentPointer] = deque()
        self._follows = False

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path is of the format."""
        return bool(cls.reader.recognises(path))

    @classmethod
    def wants_guard(cls, path: Path, options: Mapping[str, str]) -> bool:
        """Whether files meet a library that damage can break, if read so."""
        return True

    def contents(self) -> Contents:
        """Returns what the reader says of the recording."""
        if self._plain is not None:
            return self._plain.contents()
        said = self._ask("contents")
        fields = [
            FieldInfo(**{**field, "shape": _tuple(field["shape"])})
            for field in said.pop("fields")
        ]
        return Contents(fields=fields, **said)

    def pointers(self) -> Iterator[SegmentPointer]:
        """Yields what the reader lists, while it lists."""
        if self._plain is not None:
            yield from self._plain.pointers()
            return
        listing = next(_listings)
        try:
            for batch in self._batches(listing):
                self._listed = deque(batch)
                yield from batch
        finally:
            # Until then, the child holds the file open.
            stop = self._request("stop", listing=listing)
            reading_process.say(Asked(stop, self.path))

    def _batches(self, listing: int) -> Iterator[list[SegmentPointer]]:
        """Yields the pointers of a listing as the child tells them.

        Raises:
          DamagedRecordingError: When all that come before the damage were yielded.
        """
        told, more, most = 0, True, _BATCH
        while more:
            try:
                said = self._ask("pointers", listing=listing, skip=told, most=most)
            except DamagedRecordingError:
                if reading_process.is_running or most == 1:
                    raise
                # A child that died took with it what it had listed, so the next one
                # tells each pointer before it looks for another.
                most = 1
                continue
            batch = [SegmentPointer(**pointer) for pointer in said["pointers"]]
            told, more = told + len(batch), said["more"]
            yield batch

    def read(self, pointer: SegmentPointer, fields: Sequence[str]) -> Segment:
        """Returns what the reader reads.

        Raises:
          DamagedRecordingError: Also where the reader's process died or hung.
        """
        if self._plain is not None:
            return self._plain.read(pointer, fields)
        with reading_process.lock:
            next_ = self._next_after(pointer)
            said = reading_process.read(
                self._reading(pointer, fields),
                None if next_ is None else self._reading(next_, fields),
            )
        if isinstance(said, Segment):
            return said
        _told(said, self.path, pointer.position)
        raise AssertionError(said)

    def _next_after(self, pointer: SegmentPointer) -> Optional[SegmentPointer]:
        """Returns what is listed after a pointer, if who reads follows the listing."""
        listed = self._listed
        was_next = bool(listed) and listed[0] == pointer
        follows, self._follows = self._follows and was_next, was_next
        # Those before it will not be asked for, or it is of another listing.
        while listed and listed.popleft() != pointer:
            pass
        if not follows or not listed or listed[0].size_bytes > _LARGEST_AHEAD:
            return None
        return listed[0]

    def _reading(self, pointer: SegmentPointer, fields: Sequence[str]) -> Asked:
        request = self._request("read", pointer=vars(pointer), fields=list(fields))
        return Asked(request, self.path, pointer.position)

    def _ask(self, what: str, **more: Any) -> dict[str, Any]:
        asked = Asked(self._request(what, **more), self.path)
        return _told(reading_process.ask(asked), self.path, "")

    def _request(self, what: str, **more: Any) -> dict[str, Any]:
        return {
            "do": what,
            "make": f"{self.reader.__module__}:{self.reader.__qualname__}",
            "path": str(self.path),
            "state": self._state,
            "options": self._options,
            **more,
        }


def _state(path: Path) -> list[int]:
    """Returns what tells a file from another that takes its place."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size]


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
        raise damaged(path, position, "reading it takes too much memory", DAMAGE_REMEDY)
    if kind == "fault":
        raise RuntimeError(f"reading {path}, {position} failed:\n{said['message']}")
    return dict(said)
