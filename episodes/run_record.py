"""What was run, with what, and what it took: kept beside everything we make."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write

_PACKAGES = (
    "thresher",
    "numpy",
    "tensorflow",
    "tf-agents",
    "tensorflow-datasets",
    "apache-beam",
    "pybullet",
)
_MEMORY_SAMPLE_SECONDS = 0.5


@dataclasses.dataclass
class RunRecord:
    """One run of one station.

    Attributes:
      station: 'collect', 'build', 'train', 'evaluate' or 'report'.
      command: The command line.
      started: UTC, ISO 8601.
      seconds: Wall time of all sessions of the run together.
      sessions: How often it was started: 1 if never interrupted.
      peak_memory_bytes: Most resident memory of the process and its children at once,
        sampled every half second (shared pages count once per process).
      code_revision: Git revision ('+' where files were changed), or package version.
      versions: Versions of the packages that matter, and Python's.
      machine: Processor count and platform.
      configuration: What was asked for.
      results: What came of it: counts, rates, digests.
      finished: Whether the run came to its end.
    """

    station: str
    command: list[str]
    started: str
    seconds: float = 0.0
    sessions: int = 1
    peak_memory_bytes: int = 0
    code_revision: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    machine: dict[str, Any] = dataclasses.field(default_factory=dict)
    configuration: dict[str, Any] = dataclasses.field(default_factory=dict)
    results: dict[str, Any] = dataclasses.field(default_factory=dict)
    finished: bool = False

    def write(self, path: Path) -> None:
        """Writes the record as JSON."""
        atomic_write(
            path, json.dumps(dataclasses.asdict(self), indent=1, default=str) + "\n"
        )

    @classmethod
    def read(cls, path: Path) -> RunRecord:
        """Reads a record that `write` wrote."""
        return cls(**json.loads(path.read_text()))


@contextmanager
def recording(
    station: str, path: Path, configuration: Mapping[str, Any]
) -> Iterator[RunRecord]:
    """Records a station's run in `path`, adding to the record of an interrupted one.

    The record is written at the start and at the end, also when the body raises, so
    that an interrupted run is known as one.

    Yields:
      The record; the body fills `results`.
    """
    record = _begin(station, path, configuration)
    earlier_seconds, began = record.seconds, time.monotonic()
    record.write(path)
    with _peak_memory() as peak:
        try:
            yield record
            record.finished = True
        finally:
            record.seconds = earlier_seconds + time.monotonic() - began
            record.peak_memory_bytes = max(record.peak_memory_bytes, peak())
            # A full disk is told of by the error that it caused, not by this file.
            tolerated = () if record.finished else (OSError,)
            with suppress(*tolerated):
                record.write(path)


def refuse_other_configuration(path: Path, configuration: Mapping[str, Any]) -> None:
    """Refuses to go on with a run that was asked for differently.

    Args:
      path: Where the run's record is, if there is one.
      configuration: What is asked for now.

    Raises:
      UserError: The record there names other values, with the keys that differ.
    """
    if not path.exists():
        return
    earlier = RunRecord.read(path).configuration
    # Through JSON, so that tuples and paths compare as they were stored.
    wanted = json.loads(json.dumps(dict(configuration), default=str))
    differing = [
        f"{key} is {earlier.get(key)!r} there and {wanted.get(key)!r} here"
        for key in sorted(set(earlier) | set(wanted))
        if earlier.get(key) != wanted.get(key)
    ]
    if differing:
        raise UserError(
            f"{path.parent} holds a run of another configuration: "
            f"{'; '.join(differing)}; ask for the same, or choose another folder"
        )


def _begin(station: str, path: Path, configuration: Mapping[str, Any]) -> RunRecord:
    record = RunRecord(
        station=station,
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        started=datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
        code_revision=code_revision(),
        versions=_versions(),
        machine={"processors": os.cpu_count(), "platform": platform.platform()},
        configuration=dict(configuration),
    )
    if path.exists():
        earlier = RunRecord.read(path)
        if not earlier.finished:
            record.started, record.seconds = earlier.started, earlier.seconds
            record.sessions = earlier.sessions + 1
            record.peak_memory_bytes = earlier.peak_memory_bytes
    return record


def code_revision() -> str:
    """Returns the code's git revision with '+' if changed, else package version."""
    folder = Path(__file__).resolve().parent.parent
    if (folder / ".git").exists():
        try:
            return _git(folder, "rev-parse", "HEAD") + (
                "+" if _git(folder, "status", "--porcelain", "-uno") else ""
            )
        except (OSError, subprocess.CalledProcessError):
            pass  # No git, or no commit yet: the version is the best we have.
    return _version("thresher")


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    found = {package: _version(package) for package in _PACKAGES}
    return {"python": platform.python_version(), **found}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@contextmanager
def _peak_memory() -> Iterator[Any]:
    """Yields a function that returns the most memory seen so far, in bytes."""
    stop = threading.Event()
    peak = [_tree_memory()]

    def watch() -> None:
        while not stop.wait(_MEMORY_SAMPLE_SECONDS):
            peak[0] = max(peak[0], _tree_memory())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: max(peak[0], _tree_memory())
    finally:
        stop.set()
        thread.join()


def _tree_memory() -> int:
    me = psutil.Process()
    total = 0
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # It ended between being listed and being asked.
    return total
