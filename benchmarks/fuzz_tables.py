"""Feeds table readers thousands of damaged files; a reader may refuse, never break.

Each case is read whole in a child process. What counts as broken: another exception
than `UserError`, a child that dies or stays silent, more memory than a segment may
take. Run:

    python -m thresher.benchmarks.fuzz_tables MODULE:READER FILE --cases 2000
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thresher.episodes.errors import UserError
from thresher.episodes.tfrecord import framed, records
from thresher.pipelines.ingest.recording import EpisodeTable

CASE_SECONDS = 60.0
CHILD_BYTES = 6 << 30
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


def mutations(data: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """Yields damaged copies without end: cut, flipped, overwritten, repeated, dropped.

    Args:
      data: A sound file's bytes.
      rng: Decides all.
    """
    kinds = (_cut, _flip, _overwrite, _splice, _huge_number)
    while True:
        damaged = kinds[int(rng.integers(len(kinds)))](bytearray(data), rng)
        if rng.random() < 0.3:
            damaged = _flip(damaged, rng)
        yield bytes(damaged)


def _cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(rng.integers(len(data) + 1))]


def _flip(data: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(int(rng.integers(1, 9)) if data else 0):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return data


def _overwrite(data: bytearray, rng: np.random.Generator) -> bytearray:
    start = int(rng.integers(len(data)))
    for position in range(start, min(start + int(rng.integers(1, 17)), len(data))):
        data[position] = _INTERESTING[int(rng.integers(len(_INTERESTING)))]
    return data


def _splice(data: bytearray, rng: np.random.Generator) -> bytearray:
    start, other = (int(rng.integers(len(data))) for _ in range(2))
    length = int(rng.integers(1, 257))
    if rng.random() < 0.5:
        data[start:start] = data[other : other + length]
    else:
        del data[start : start + length]
    return data


def _huge_number(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Puts a length that no file has where one may stand."""
    width = int(rng.choice([4, 8]))
    start = int(rng.integers(max(len(data) - width, 1)))
    value = int(rng.choice([2**31 - 1, 2**32 - 1, 2**40, 10**9]))
    data[start : start + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")
    return data


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


def outcome(make: str, path: Path, options: Mapping[str, str]) -> str:
    """Returns 'read', 'refused', or what broke.

    Args:
      make: 'module:Class' of the reader.
      path: The file or folder.
      options: The reader's.
    """
    module, _, name = make.partition(":")
    table = getattr(importlib.import_module(module), name)
    try:
        return "read" if read_whole(table(path, options)) else "nothing sound"
    except UserError:
        return "refused"
    # Anything else is what this looks for, so all of it is caught and told.
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"


def _child(pipe: Any, make: str, options: Mapping[str, str]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))
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
        self._process.kill()
        self._process.join()
        self._process = None
        return ended

    def close(self) -> None:
        """Ends the child."""
        if self._process is not None:
            self._process.kill()
            self._process.join()


def fuzz(
    make: str,
    sound: Path,
    target: str,
    cases: int,
    keep: Path,
    options: Mapping[str, str],
    opened: str = "",
    reframed: bool = False,
) -> Counter:
    """Reads damaged copies of a recording and counts the outcomes.

    Args:
      make: 'module:Class' of the reader.
      sound: A sound file, or a folder.
      target: Which file of the folder is damaged; empty for a file.
      cases: How many.
      keep: Folder that gets the files that broke something.
      options: The reader's.
      opened: Which file of the folder is opened; empty for the folder.
      reframed: Whether the first record of a TFRecord is damaged and framed anew, so
        that checksums hold and what is in it is met.
    """
    rng = np.random.default_rng(0)
    counts: Counter = Counter()
    runner = Runner(make, options)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / sound.name
        _ = shutil.copytree(sound, copy) if sound.is_dir() else shutil.copy(sound, copy)
        victim = copy / target if target else copy
        data = victim.read_bytes()
        if reframed:
            data = next(records(victim))[1]
        for case, damaged in zip(range(cases), mutations(data, rng)):
            victim.write_bytes(framed(damaged) if reframed else damaged)
            told = runner.run(copy / opened if opened else copy)
            counts[told] += 1
            if told not in ("read", "refused", "nothing sound"):
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{case:05d}_{victim.name}").write_bytes(damaged)
    runner.close()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", help="module:Class")
    parser.add_argument("sound", type=Path)
    parser.add_argument("--target", default="")
    parser.add_argument("--opened", default="")
    parser.add_argument("--reframed", action="store_true")
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--keep", type=Path, default=Path("fuzz_found"))
    parser.add_argument("--option", action="append", default=[])
    arguments = parser.parse_args()
    options = dict(text.split("=", 1) for text in arguments.option)
    started = time.monotonic()
    counts = fuzz(
        arguments.reader,
        arguments.sound,
        arguments.target,
        arguments.cases,
        arguments.keep,
        options,
        arguments.opened,
        arguments.reframed,
    )
    for told, count in counts.most_common():
        sys.stdout.write(f"{count:6d}  {told}\n")
    sys.stdout.write(f"{time.monotonic() - started:.1f} s\n")


if __name__ == "__main__":
    main()
