"""Feeds the readers of message logs thousands of damaged files, and ingests each.

    python -m thresher.benchmarks.fuzz_readers --cases 2000 --state /tmp/fuzz

Sound logs of every kind are written by their formats' own libraries, damaged in one
way each, and then inspected and ingested as a whole. A reader may refuse, set episodes
aside or leave messages out. It may not raise other errors than `UserError`, hang, take
more than `CASE_BYTES` of memory, or lose count of messages. What breaks is kept in the
state folder, and the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter

from thresher.benchmarks.damage import mutations
from thresher.benchmarks.sound_logs import (
    arm_ros2_rows,
    arm_rows,
    at,
    write_json_mcap,
    write_ros1_bag,
    write_ros2_bag,
    write_ros2_mcap,
)
from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.assemble import Assembled
from thresher.pipelines.ingest.convert import Conversion, Origin
from thresher.pipelines.ingest.formats import open_recording
from thresher.pipelines.ingest.mapping import LogMapping
from thresher.pipelines.ingest.mapping_file import load_mapping

CASE_SECONDS = 20
CASE_BYTES = 6 << 30
# A child's cases between two notes of how far it is.
_BATCH = 50

_LOG = """
name: fuzz
robot: tiny
clock: {{stream: {clock}}}
step_seconds: 0.1
features: {{observation/q: {{from: {q}, shape: [2]}}{more}}}
action: {{next_of: {q}, shape: [2]}}
"""
_CAMERAS = (
    ", observation/r: {from: /raw, encoding: png, shape: [6, 8, 3]}"
    ", observation/p: {from: /packed, encoding: jpeg, shape: [6, 8, 3]}"
)


def _bag_rows() -> list[Any]:
    rows: list[Any] = []
    for k in range(12):
        rows += [("/state", 0.1 * k, [k, -k]), ("/says", 0.1 * k + 0.01, f"step {k}")]
    return rows


def _mcap_json(folder: Path) -> Path:
    return write_json_mcap(folder / "a.mcap", arm_rows(12))


def _mcap_zstd(folder: Path) -> Path:
    rows = arm_rows(12)
    return write_json_mcap(folder / "a.mcap", rows, compression=CompressionType.ZSTD)


def _mcap_ros2(folder: Path) -> Path:
    """Without checksums, so that damage reaches messages and schemas."""
    sound = write_ros2_mcap(folder / "with_checksums.mcap", arm_ros2_rows(6))
    return _rewritten(sound, folder / "a.mcap")


def _mcap_protobuf(folder: Path) -> Path:
    from google.protobuf.descriptor_pb2 import UninterpretedOption
    from mcap_protobuf.writer import Writer

    sound = folder / "with_checksums.mcap"
    with open(sound, "wb") as file, Writer(file) as writer:
        for k in range(12):
            # Of the messages that come with protobuf, one with several numbers.
            message = UninterpretedOption(double_value=k, negative_int_value=-k)
            writer.write_message("/state", message, at(0.1 * k), at(0.1 * k))
    return _rewritten(sound, folder / "a.mcap")


def _rewritten(sound: Path, target: Path) -> Path:
    from mcap.reader import make_reader

    with open(sound, "rb") as old, open(target, "wb") as file:
        writer = McapWriter(file, 600, CompressionType.NONE, enable_crcs=False)
        writer.start()
        channels: dict[int, int] = {}
        for schema, channel, message in make_reader(old).iter_messages():
            assert schema is not None
            if channel.id not in channels:
                number = writer.register_schema(
                    schema.name, schema.encoding, schema.data
                )
                channels[channel.id] = writer.register_channel(
                    channel.topic, channel.message_encoding, number
                )
            writer.add_message(
                channels[channel.id], message.log_time, message.data, message.log_time
            )
        writer.finish()
    sound.unlink()
    return target


def _ros1(folder: Path) -> Path:
    return write_ros1_bag(folder / "a.bag", _bag_rows())


def _ros1_lz4(folder: Path) -> Path:
    return write_ros1_bag(folder / "a.bag", _bag_rows(), "LZ4")


def _ros1_bz2(folder: Path) -> Path:
    return write_ros1_bag(folder / "a.bag", _bag_rows(), "BZ2")


def _ros2(folder: Path) -> Path:
    return next(write_ros2_bag(folder / "a", _bag_rows()).glob("*.db3"))


def _ros2_metadata(folder: Path) -> Path:
    return write_ros2_bag(folder / "a", _bag_rows()) / "metadata.yaml"


_BAG = {"clock": "/state.data", "q": "/state.data", "more": ""}
_JSON = {"clock": "/state.q", "q": "/state.q", "more": ""}
_NUMBERS = "[/state.double_value, /state.negative_int_value]"
# How a sound log is made, and the fields that are read of it.
KINDS: dict[str, tuple[Callable[[Path], Path], dict[str, str]]] = {
    "mcap_json": (_mcap_json, _JSON),
    "mcap_zstd": (_mcap_zstd, _JSON),
    "mcap_ros2": (_mcap_ros2, {"clock": "/arm.q", "q": "/arm.q", "more": _CAMERAS}),
    "mcap_protobuf": (
        _mcap_protobuf,
        {"clock": "/state.double_value", "q": _NUMBERS, "more": ""},
    ),
    "ros1": (_ros1, _BAG),
    "ros1_lz4": (_ros1_lz4, _BAG),
    "ros1_bz2": (_ros1_bz2, _BAG),
    "ros2": (_ros2, _BAG),
    "ros2_metadata": (_ros2_metadata, _BAG),
}


class Hang(BaseException):
    """A case that takes too long."""


def outcome(path: Path, mapping: LogMapping) -> str:
    """Inspects and ingests a file; returns what came of it, 'BROKE …' if it may not."""
    opened = path.parent if path.suffix == ".yaml" else path
    try:
        open_recording(opened).contents()
        recording = open_recording(opened)
        origin = Origin(path.name, recording.format)
        conversion = Conversion(recording, mapping, origin)
        results = list(conversion.results())
    except UserError:
        return "refused"
    # Anything else is what this looks for, so all of it is caught and told.
    except (Exception, Hang) as error:  # noqa: BLE001
        return f"BROKE {type(error).__name__}: {error}"
    ledger = conversion.ledger
    if ledger.read != ledger.used + sum(ledger.dropped.values()):
        return f"BROKE counts: {ledger.to_dict()}"
    kept = sum(isinstance(result, Assembled) for result in results)
    return "whole" if kept == len(results) > 0 else "in part" if results else "nothing"


def cases(kind: str, folder: Path) -> Iterator[tuple[int, Path]]:
    """Yields numbered damaged files of a kind without end, one at a time."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = KINDS[kind][0](folder)
    sound = path.read_bytes()
    rng = np.random.default_rng(sorted(KINDS).index(kind))
    for number, damaged in enumerate(mutations(sound, rng)):
        path.write_bytes(damaged)
        yield number, path


def mapping_of(kind: str, folder: Path) -> LogMapping:
    """Returns the mapping that a kind is ingested by."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{kind}.mapping.yaml"
    file.write_text(_LOG.format(**KINDS[kind][1]))
    return load_mapping(file)


def run(kind: str, first: int, last: int, state: Path) -> Counter[str]:
    """Returns the outcomes of some cases of a kind; keeps the files that broke it."""
    counts: Counter[str] = Counter()
    mapping = mapping_of(kind, state)
    signal.signal(signal.SIGALRM, _too_long)
    for number, path in cases(kind, state / "work" / kind):
        if number >= last:
            break
        if number < first:
            continue
        signal.alarm(CASE_SECONDS)
        said = outcome(path, mapping)
        signal.alarm(0)
        counts[said] += 1
        if said.startswith("BROKE"):
            (state / "broke").mkdir(exist_ok=True)
            shutil.copy(path, state / "broke" / f"{kind}_{number:05d}{path.suffix}")
    return counts


def _too_long(*_: Any) -> None:
    raise Hang(f"longer than {CASE_SECONDS} s")


def _child(kind: str, first: int, last: int, state: Path, pipe: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (CASE_BYTES, CASE_BYTES))
    pipe.send(dict(run(kind, first, last, state)))


def fuzz(kind: str, count: int, state: Path) -> dict[str, int]:
    """Returns the outcomes of the first cases of a kind, from where it stopped."""
    file = state / f"{kind}.json"
    saved = json.loads(file.read_text()) if file.exists() else {"next": 0, "counts": {}}
    counts: Counter[str] = Counter(saved["counts"])
    context = multiprocessing.get_context("fork")
    for first in range(saved["next"], count, _BATCH):
        last = min(first + _BATCH, count)
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_child, args=(kind, first, last, state, theirs), daemon=True
        )
        process.start()
        theirs.close()
        try:
            counts.update(ours.recv())
        except EOFError:
            counts[f"BROKE a child in cases {first}–{last}"] += 1
        process.join()
        file.write_text(json.dumps({"next": last, "counts": dict(counts)}, indent=1))
    return dict(counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kinds", nargs="*", default=[])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--state", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.state.mkdir(parents=True, exist_ok=True)
    broke = 0
    for kind in arguments.kinds or KINDS:
        began = time.monotonic()
        counts = fuzz(kind, arguments.cases, arguments.state)
        sys.stdout.write(f"{kind} ({time.monotonic() - began:.0f} s)\n")
        for said, number in sorted(counts.items(), key=lambda pair: -pair[1]):
            sys.stdout.write(f"  {number:6d}  {said}\n")
        broke += sum(n for said, n in counts.items() if said.startswith("BROKE"))
    sys.exit(bool(broke))


if __name__ == "__main__":
    main()
