"""The process in which libraries meet files that nobody vouches for.

Started by `guard_process`; answers requests from the socket whose descriptor is its
first argument, until that is closed; the others are memories that both sides map.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest import table_rules
from thresher.pipelines.ingest.guard_wire import ClosedError, Wire, send_segment
from thresher.pipelines.ingest.recording import (
    DamagedRecordingError,
    EpisodeTable,
    SegmentPointer,
)
from thresher.pipelines.ingest.shared_memory import KEPT_BYTES, SharedMemory

# Beside what a segment may hold: libraries, decoders' reference frames, one chunk.
ADDRESS_SPACE_BYTES = 8 << 30
_MOST_TABLES = 4
# As many pointers at once as are listed in this time: none waits for those after it.
_BATCH_SECONDS = 0.01
_BEAT_SECONDS = 1.0


class Server:
    """Answers requests, one after the other."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._tables: OrderedDict[str, EpisodeTable] = OrderedDict()
        self._listings: dict[int, _Listing] = {}
        self._was_large = False

    def serve(self) -> None:
        """Answers until the host goes."""
        self._wire.send({"ready": True})
        while True:
            try:
                request = self._wire.receive()
            except ClosedError:
                return
            said = self._answer(request)
            if said is not None:
                self._wire.send({"number": request["number"], "said": said})

    def _answer(self, request: dict[str, Any]) -> Optional[dict[str, Any]]:
        """Returns what to say; nothing if a segment was sent."""
        try:
            return _ANSWERS[request["do"]](self, request)
        except UserError as error:
            kind = "damaged" if isinstance(error, DamagedRecordingError) else "user"
            return {"error": kind, "message": str(error)}
        except MemoryError:
            return {"error": "memory", "message": ""}
        # A fault of ours is told with its place, and raised again by the host.
        except Exception:  # noqa: BLE001
            return {"error": "fault", "message": traceback.format_exc()}

    def contents(self, request: dict[str, Any]) -> dict[str, Any]:
        """Says what is in a recording."""
        contents = self._table(request).contents()
        return {
            "format": contents.format,
            "fields": [vars(field) for field in contents.fields],
            "episodes": contents.episodes,
            "notes": list(contents.notes),
            "attributes": list(contents.attributes),
        }

    def read(self, request: dict[str, Any]) -> Optional[dict[str, Any]]:
        """Sends a segment, or says that it must wait."""
        # One large segment is on its way to the host; a second one has no room beside.
        if request.get("ahead") and self._was_large:
            return {"later": True}
        memory = self._wire.memories[request["memory"]]
        memory.reset()
        table_rules.array_makers[:] = [memory.new_array]
        pointer = SegmentPointer(**request["pointer"])
        segment = self._table(request).read(pointer, request["fields"])
        send_segment(self._wire, request["number"], memory, segment)
        self._was_large = memory.used > KEPT_BYTES
        memory.reset()
        return None

    def pointers(self, request: dict[str, Any]) -> dict[str, Any]:
        """Says the next pointers of a listing."""
        number = request["listing"]
        if number not in self._listings:
            # In a child that replaces another, a listing goes on where that one was.
            self._listings[number] = _Listing(self._table(request), request["skip"])
        try:
            batch, more = self._listings[number].batch(request["most"])
        except BaseException:
            self.stop(request)
            raise
        return {"pointers": [vars(pointer) for pointer in batch], "more": more}

    def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ends a listing."""
        if request["listing"] in self._listings:
            self._listings.pop(request["listing"]).close()
        return {"stopped": True}

    def _table(self, request: dict[str, Any]) -> EpisodeTable:
        options = sorted(request["options"].items())
        # A file that took another's place is another one.
        key = f"{request['make']} {request['path']} {request['state']} {options}"
        if key not in self._tables:
            module, _, name = request["make"].partition(":")
            make = getattr(importlib.import_module(module), name)
            self._tables[key] = make(Path(request["path"]), request["options"])
            if len(self._tables) > _MOST_TABLES:
                self._tables.popitem(last=False)
        self._tables.move_to_end(key)
        return self._tables[key]


class _Listing:
    """A listing that stands still between two batches."""

    def __init__(self, table: EpisodeTable, skip: int) -> None:
        # A file that is opened for each question stays open for those of a listing.
        opened = getattr(table, "opened", contextlib.nullcontext)
        self._open = contextlib.ExitStack()
        self._open.enter_context(opened())
        self._pointers = itertools.islice(table.pointers(), skip, None)
        self._error: Optional[Exception] = None

    def batch(self, most: int) -> tuple[list[SegmentPointer], bool]:
        """Returns the next pointers, and whether there may be more, or an error.

        Raises:
          Exception: What the listing raised, when all before it were returned.
        """
        if self._error is not None:
            raise self._error
        found: list[SegmentPointer] = []
        until = time.monotonic() + _BATCH_SECONDS
        try:
            while len(found) < most and (not found or time.monotonic() < until):
                pointer = next(self._pointers, None)
                if pointer is None:
                    return found, False
                found.append(pointer)
        # Whatever it is, those that were listed before it are sound.
        except Exception as error:
            if not found:
                raise
            self._error = error
        return found, True

    def close(self) -> None:
        """Closes what it held open."""
        self._pointers = iter(())  # type: ignore[assignment]
        self._open.close()


_ANSWERS: dict[str, Callable[..., Optional[dict[str, Any]]]] = {
    "contents": Server.contents,
    "pointers": Server.pointers,
    "read": Server.read,
    "stop": Server.stop,
}


def _give_signs_of_life(wire: Wire) -> None:
    last = time.monotonic()

    def beat() -> None:
        nonlocal last
        if time.monotonic() - last > _BEAT_SECONDS:
            last = time.monotonic()
            wire.beat()

    table_rules.on_progress.append(beat)


def main() -> None:
    """Serves on the descriptors that the arguments name."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Who stops the host stops us: not in the middle, and not as if we had crashed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What libraries print belongs to nobody.
    os.dup2(2, 1)
    end, *memories = (int(argument) for argument in sys.argv[1:])
    wire = Wire(socket.socket(fileno=end), [SharedMemory(m) for m in memories])
    _give_signs_of_life(wire)
    Server(wire).serve()


if __name__ == "__main__":
    main()
