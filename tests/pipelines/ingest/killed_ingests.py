"""Kills ingests at events of the file system: FOLDER RECORDINGS MAPPING POINTS.

A process of its own, for it forks, and nothing that was imported may have threads.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.ingest import ingest, ingested_logs
from thresher.pipelines.ingest.reader import find_logs
from thresher.pipelines.runners import local_options
from thresher.tests.pipelines.kill_points import session


def _ingest(recordings: Path, mapping: Path, out: Path) -> None:
    ingest([recordings], mapping, out, local_options(1))


def _bytes(out: Path) -> dict[str, bytes]:
    return {log.relative_to(out).as_posix(): log.read_bytes() for log in find_logs(out)}


def _problems(work, out: Path, whole: dict[str, bytes], point: int) -> Iterator[str]:
    killed, _ = session(work, out, point)
    if killed != -signal.SIGKILL:
        yield f"ended with {killed} instead of being killed"
    try:
        if _bytes(out) != whole:
            yield "a report lists other logs than it should"
    except UserError:
        pass  # It says that an ingest was broken off.
    status, _ = session(work, out)
    if status or _bytes(out) != whole:
        yield f"the same command ended with {status}, or with other bytes"
    if left := [path.name for path in out.rglob(".*.part")]:
        yield f"left behind: {left}"


def main() -> None:
    """Prints what was wrong, by event."""
    folder, recordings, mapping = (Path(word) for word in sys.argv[1:4])
    work = partial(_ingest, recordings, mapping)
    # Imports what ingests import when they run.
    work(folder / "warm")
    status, events = session(work, folder / "whole")
    assert status == 0, "the undisturbed one failed"
    assert ingested_logs(folder / "whole")
    whole, most = _bytes(folder / "whole"), int(sys.argv[4])
    points = sorted({1 + k * (events - 1) // (most - 1) for k in range(most)})
    found = {p: list(_problems(work, folder / str(p), whole, p)) for p in points}
    problems = {point: said for point, said in found.items() if said}
    print(json.dumps({"points": len(points), "events": events, "problems": problems}))


if __name__ == "__main__":
    main()
