"""Feeds table readers thousands of damaged files; a reader may refuse, never break.

    python -m thresher.benchmarks.fuzz_tables --cases 2500 --state runs/fuzz_tables

Sound recordings of every kind are written by their formats' own libraries, one file of
each is damaged in one way a case, and the recording is read whole in a child process.
What counts as broken: another exception than `UserError`, a child that dies or stays
silent, more memory than a segment may take. Readers that users get with a guard are run
without it, so that what breaks a library is seen; what does is read again as users
would. Such files are kept in the state folder, and the same command goes on with the
row that it stopped in.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from thresher.benchmarks.damage import mutations
from thresher.benchmarks.sound_tables import (
    copy_lerobot,
    write_csv,
    write_envlogger,
    write_hdf5,
    write_jsonl,
    write_minari,
    write_tf_agents,
    write_tfds,
)
from thresher.episodes.errors import UserError
from thresher.episodes.tfrecord import framed, records
from thresher.pipelines.ingest import guard_process
from thresher.pipelines.ingest.guarded_table import GuardedTable
from thresher.pipelines.ingest.recording import EpisodeTable

# A sound recording takes a thousandth of it.
CASE_SECONDS = 20.0
CHILD_BYTES = 6 << 30
ALLOWED = ("read", "nothing sound", "refused")
_PAST = " past the guard"
# What a library in C does to its process; the guard is there for it.
_DEATHS = {
    "hang": "endless loop",
    f"crash {-signal.SIGABRT}": "abort",
    f"crash {-signal.SIGSEGV}": "segmentation fault",
    f"crash {-signal.SIGBUS}": "bus error",
    f"crash {-signal.SIGFPE}": "arithmetic error",
}
_HERE = "thresher.pipelines.ingest"
_HEAD = (
    "| reader | what was damaged | some episode read | none | refused at once "
    "| broke the library |\n|---|---|---|---|---|---|\n"
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A file that is damaged, and who reads it.

    Attributes:
      reader: What the report calls the reader.
      damaged: What it calls the file.
      table: 'module:Class' of the reader that users get.
      write: Writes the sound recording into a folder; returns what is opened.
      target: Pattern that one file below the folder has: the one that is damaged.
      options: The reader's.
      reframed: Whether the first record of a TFRecord is damaged and framed anew, so
        that checksums hold and what is in it is met.
    """

    reader: str
    damaged: str
    table: str
    write: Callable[[Path], Path]
    target: str
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reframed: bool = False


def _in(name: str, write: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Returns what writes a file of that name into a folder."""
    return lambda folder: write(folder / name)


def _lerobot(damaged: str, cameras: str, target: str) -> Row:
    write = partial(copy_lerobot, cameras=cameras)
    return Row("LeRobot v3.0", damaged, f"{_HERE}.lerobot:LeRobotTable", write, target)


def _minari(damaged: str, storage: str, target: str) -> Row:
    write = partial(write_minari, storage=storage)
    return Row("Minari", damaged, f"{_HERE}.minari_set:MinariTable", write, target)


def _envlogger(target: str) -> Row:
    table = f"{_HERE}.envlogger:EnvLoggerTable"
    return Row("EnvLogger", f"`{target}`", table, write_envlogger, target)


def _text(
    damaged: str, name: str, write: Callable[[Path], Path], options: Mapping[str, str]
) -> Row:
    table = f"{_HERE}.delimited:DelimitedTable"
    return Row("text", damaged, table, _in(name, write), name, options)


def _tf_agents(damaged: str, target: str, **more: Any) -> Row:
    table = f"{_HERE}.tf_agents_records:TfAgentsTable"
    write = _in("t.tfrecord", write_tf_agents)
    return Row("TF-Agents", damaged, table, write, target, **more)


def _tfds(damaged: str, target: str, **more: Any) -> Row:
    table = f"{_HERE}.tfds_set:TfdsTable"
    return Row("TFDS", damaged, table, write_tfds, target, **more)


_DATA = "data/chunk-000/file-000.parquet"
ROWS: dict[str, Row] = {
    "hdf5": Row(
        "HDF5",
        "the file",
        f"{_HERE}.hdf5:Hdf5Table",
        _in("demo.hdf5", write_hdf5),
        "demo.hdf5",
    ),
    "lerobot_video": _lerobot("video", "video", "*.mp4"),
    "lerobot_video_data": _lerobot("data, with video", "video", _DATA),
    "lerobot_image_data": _lerobot("data, with pictures", "image", _DATA),
    "lerobot_episodes": _lerobot("`meta/episodes`", "video", "episodes/*/*.parquet"),
    "lerobot_info": _lerobot("`meta/info.json`", "video", "info.json"),
    "minari_hdf5": _minari("HDF5", "hdf5", "main_data.hdf5"),
    "minari_arrow": _minari("Arrow, one of two episodes", "arrow", "0/part-0.arrow"),
    "minari_parquet": _minari(
        "Parquet, one of two episodes", "parquet", "0/part-0.parquet"
    ),
    "minari_metadata": _minari("`metadata.json`", "hdf5", "data/metadata.json"),
    "envlogger_steps": _envlogger("steps.riegeli"),
    "envlogger_offsets": _envlogger("step_offsets.riegeli"),
    "envlogger_metadata": _envlogger("metadata.riegeli"),
    "csv": _text("CSV", "x.csv", write_csv, {"episode": "ep", "clock": "t"}),
    "jsonl": _text("JSON lines", "x.jsonl", write_jsonl, {"episode": "ep"}),
    "tf_agents_records": _tf_agents("records", "t.tfrecord"),
    "tf_agents_first": _tf_agents(
        "first record, reframed (`cut: none`)",
        "t.tfrecord",
        options={"cut": "none"},
        reframed=True,
    ),
    "tf_agents_spec": _tf_agents("`.spec`, reframed", "t.tfrecord.spec", reframed=True),
    "tfds_features": _tfds("`features.json`", "features.json"),
    "tfds_info": _tfds("`dataset_info.json`", "dataset_info.json"),
    "tfds_shard": _tfds("shard", "tiny-train.*"),
    "tfds_first": _tfds("first record, reframed", "tiny-train.*", reframed=True),
}


def cases(row: Row, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yields what is opened and the damaged file in it, without end.

    Args:
      row: What is damaged.
      folder: An empty one, in which each case takes the place of the one before.
    """
    opened = row.write(folder)
    (victim,) = folder.rglob(row.target)
    sound = next(records(victim))[1] if row.reframed else victim.read_bytes()
    for damaged in mutations(sound, np.random.default_rng(0)):
        victim.write_bytes(framed(damaged) if row.reframed else damaged)
        # By its time, a guard tells a folder from the one that it has read.
        os.utime(opened)
        yield opened, victim


def read_whole(table: EpisodeTable) -> int:
    """Reads everything a table says it has; returns how many segments were sound."""
    fields = [f.name for f in table.contents().fields if f.type != "not read"]
    sound = 0
    for number, pointer in enumerate(table.pointers()):
        if number >= 20:
            break
        try:
            table.read(pointer, fields)
            sound += 1
        except UserError:
            continue
    return sound


def table_class(make: str) -> Any:
    """Returns the class that 'module:Class' names."""
    module, _, name = make.partition(":")
    return getattr(importlib.import_module(module), name)


def outcome(make: str, path: Path, options: Mapping[str, str]) -> str:
    """Returns 'read', 'nothing sound', 'refused', or what broke.

    Args:
      make: 'module:Class' of the reader.
      path: The file or folder.
      options: The reader's.
    """
    try:
        return (
            "read" if read_whole(table_class(make)(path, options)) else "nothing sound"
        )
    except UserError:
        return "refused"
    # Anything else is what this looks for, so all of it is caught and told.
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"


def _child(pipe: Any, make: str, options: Mapping[str, str]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What libraries say about damage would bury what is found.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    while (path := pipe.recv()) is not None:
        pipe.send(outcome(make, Path(path), options))


class Runner:
    """One child that reads cases, replaced when it dies or stays silent."""

    def __init__(self, make: str, options: Mapping[str, str]) -> None:
        self._make, self._options = make, options
        self._process: Any = None

    def run(self, path: Path) -> str:
        """Returns the outcome of a case."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(
                target=_child, args=(theirs, self._make, self._options), daemon=True
            )
            self._process.start()
            theirs.close()
        self._pipe.send(str(path))
        try:
            if self._pipe.poll(CASE_SECONDS):
                return str(self._pipe.recv())
            ended = "hang"
        except (EOFError, ConnectionResetError):
            self._process.join()
            ended = f"crash {self._process.exitcode}"
        self.close()
        return ended

    def close(self) -> None:
        """Ends the child; the next case starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def fuzz(name: str, count: int, broke: Path) -> Counter[str]:
    """Reads damaged copies of a row's recording and counts the outcomes.

    Args:
      name: Of the row.
      count: How many.
      broke: Folder that gets the files that broke something.
    """
    row = ROWS[name]
    is_guarded = issubclass(table_class(row.table), GuardedTable)
    plain = {"guarded": "false"} if is_guarded else {}
    runner = Runner(row.table, {**row.options, **plain})
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        numbered = zip(range(count), cases(row, Path(scratch)))
        for number, (opened, victim) in numbered:
            told = runner.run(opened)
            if told not in ALLOWED:
                broke.mkdir(parents=True, exist_ok=True)
                kept = broke / f"{name}_{number:05d}_{victim.name}"
                kept.write_bytes(victim.read_bytes())
                if not _guard_meets(row, opened):
                    told += _PAST
            counts[told] += 1
    runner.close()
    return counts


def _guard_meets(row: Row, opened: Path) -> bool:
    """Whether users, whose reader has a guard, are told or get the other episodes."""
    table = table_class(row.table)
    if not issubclass(table, GuardedTable):
        return False
    if not table.wants_guard(opened, row.options):
        return False
    return outcome(row.table, opened, row.options) in ALLOWED


def is_fault(told: str) -> bool:
    """Whether an outcome is a fault of ours, not of a library behind a guard."""
    return told not in ALLOWED and told not in _DEATHS


def counted(name: str, count: int, state: Path) -> Counter[str]:
    """Returns a row's outcomes, from the state folder if they are in it."""
    file = state / f"{name}.json"
    if file.exists():
        saved = json.loads(file.read_text())
        if saved["cases"] == count:
            return Counter(saved["counts"])
    counts = fuzz(name, count, state / "broke")
    file.write_text(json.dumps({"cases": count, "counts": counts}, indent=1))
    return counts


def page(found: Mapping[str, Counter[str]]) -> str:
    """Returns the outcomes by row as a Markdown table."""
    lines, before = [], ""
    for name, counts in found.items():
        row = ROWS[name]
        cells = [row.reader if row.reader != before else "", row.damaged]
        cells += [f"{counts[told]:,}" if counts[told] else "–" for told in ALLOWED]
        broke = [_in_words(t, n) for t, n in counts.most_common() if t not in ALLOWED]
        cells.append(", ".join(broke) or "–")
        before = row.reader
        lines.append(f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in cells)}|\n")
    return _HEAD + "".join(lines)


def _in_words(told: str, count: int) -> str:
    return f"{count:,} {_DEATHS.get(told, told)}{'s' * (told in _DEATHS and count > 1)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--cases", type=int, default=2500)
    parser.add_argument("--state", type=Path, required=True)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.rows if name not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]!r}; there are {', '.join(ROWS)}")
    arguments.state.mkdir(parents=True, exist_ok=True)
    # What hangs unguarded need not be waited for three times as long once more.
    guard_process.SILENT_SECONDS = CASE_SECONDS
    found = {}
    for name in arguments.rows or ROWS:
        began = time.monotonic()
        found[name] = counted(name, arguments.cases, arguments.state)
        sys.stdout.write(f"{name} ({time.monotonic() - began:.0f} s)\n")
        for told, number in found[name].most_common():
            sys.stdout.write(f"  {number:6d}  {told}\n")
        sys.stdout.flush()
    sys.stdout.write(f"\n{page(found)}")
    sys.exit(any(is_fault(told) for counts in found.values() for told in counts))


if __name__ == "__main__":
    main()
