"""The process in which libraries meet files that nobody vouches for.

Started by `guarded_table`; answers requests from the socket whose descriptor is its
first argument, until that is closed; its second is the memory that both sides map.
"""

from __future__ import annotations

import importlib
import itertools
import os
import resource
import socket
import sys
import time
import traceback
from collections import OrderedDict
from pathlib import Path
from typing import Any

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest import table_rules
from thresher.pipelines.ingest.guard_wire import (
    ClosedError,
    SharedMemory,
    Wire,
    send_segment,
)
from thresher.pipelines.ingest.recording import (
    DamagedRecordingError,
    EpisodeTable,
    SegmentPointer,
)

# Beside what a segment may hold: libraries, decoders' reference frames, one chunk.
ADDRESS_SPACE_BYTES = 8 << 30
_MOST_TABLES = 4
_BATCH = 500
_BEAT_SECONDS = 1.0


def serve(wire: Wire) -> None:
    """Answers requests until the host goes."""
    tables: OrderedDict[str, EpisodeTable] = OrderedDict()
    _give_signs_of_life(wire)
    wire.send({"ready": True})
    while True:
        try:
            request = wire.receive()
        except ClosedError:
            return
        try:
            _answer(wire, request, tables)
        except UserError as error:
            kind = "damaged" if isinstance(error, DamagedRecordingError) else "user"
            wire.send({"error": kind, "message": str(error)})
        except MemoryError:
            wire.send({"error": "memory", "message": ""})
        # A fault of ours is told with its place, and raised again by the host.
        except Exception:  # noqa: BLE001
            wire.send({"error": "fault", "message": traceback.format_exc()})


def _answer(wire: Wire, request: dict[str, Any], tables: OrderedDict) -> None:
    table = _table(request, tables)
    if request["do"] == "contents":
        contents = table.contents()
        wire.send(
            {
                "format": contents.format,
                "fields": [vars(field) for field in contents.fields],
                "episodes": contents.episodes,
                "notes": list(contents.notes),
                "attributes": list(contents.attributes),
            }
        )
    elif request["do"] == "pointers":
        pointers = table.pointers()
        while batch := list(itertools.islice(pointers, _BATCH)):
            wire.send({"pointers": [vars(pointer) for pointer in batch]})
        wire.send({"pointers": []})
    else:
        pointer = SegmentPointer(**request["pointer"])
        send_segment(wire, table.read(pointer, request["fields"]))


def _table(request: dict[str, Any], tables: OrderedDict) -> EpisodeTable:
    key = f"{request['make']} {request['path']} {sorted(request['options'].items())}"
    if key not in tables:
        module, _, name = request["make"].partition(":")
        make = getattr(importlib.import_module(module), name)
        tables[key] = make(Path(request["path"]), request["options"])
        if len(tables) > _MOST_TABLES:
            tables.popitem(last=False)
    tables.move_to_end(key)
    return tables[key]


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
    # What libraries print belongs to nobody.
    os.dup2(2, 1)
    end, memory = (int(argument) for argument in sys.argv[1:3])
    serve(Wire(socket.socket(fileno=end), SharedMemory(memory)))


if __name__ == "__main__":
    main()
