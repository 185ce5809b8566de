"""Log files become index rows: each file is read once, each episode checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from thresher.episodes.contract import violations
from thresher.episodes.errors import UserError
from thresher.episodes.files import sha256_file
from thresher.episodes.index import index_row, index_table, write_index
from thresher.episodes.measurements import measure
from thresher.episodes.raw_log import EpisodePointer
from thresher.episodes.spec import EpisodeSpec
from thresher.pipelines.ingest.reader import LogReader, open_log

UNREADABLE = "unreadable"
_CUT_OFF = (
    "the log has no end: its writer was killed, or it was copied in part; episodes "
    "that stood behind this are not in it"
)


@dataclasses.dataclass(frozen=True)
class IndexUnit:
    """One log file to index.

    Attributes:
      root: The folder of all logs; rows name files relative to it.
      log: The log file.
      spec: What every episode must be.
      path: The index of this file.
      size: Bytes of the log.
      reader: How it is read; see `open_log`.
    """

    root: Path
    log: Path
    spec: EpisodeSpec
    path: Path
    size: int
    reader: str = ""

    def run(self) -> None:
        """Reads and checks every episode and writes the index."""
        write_index(index_table(self._rows()), self.path)

    def _rows(self) -> Iterator[dict[str, Any]]:
        name = self.log.relative_to(self.root).as_posix()
        digest = sha256_file(self.log)
        reader = open_log(self.log, self.reader)
        pointers = reader.pointers()
        position = 0
        while True:
            try:
                pointer = next(pointers)
            except StopIteration:
                if reader.truncated:
                    yield unreadable_row(name, self.size, 0, digest, _CUT_OFF)
                return
            except UserError as error:
                yield unreadable_row(name, position, 0, digest, str(error))
                return
            position = pointer.offset
            yield self._row(reader, pointer, name, digest)

    def _row(
        self, reader: LogReader, pointer: EpisodePointer, name: str, digest: str
    ) -> dict[str, Any]:
        try:
            episode = reader.read(pointer)
        except UserError as error:
            return unreadable_row(
                name, pointer.offset, pointer.length, digest, str(error)
            )
        broken = [f"{v.rule}: {v.message}" for v in violations(episode, self.spec)]
        measured = None
        if not broken:
            try:
                measured = measure(episode, self.spec)
            except ValueError as error:
                broken = [f"values: {error}"]
        relative = dataclasses.replace(pointer, file=name)
        return index_row(episode, relative, broken, digest, measured)


def unreadable_row(
    name: str, offset: int, length: int, digest: str, reason: str
) -> dict[str, Any]:
    """Returns the row of an episode of which nothing else can be known."""
    blank = {"string": "", "int64": 0, "int32": 0, "double": 0.0}
    table = index_table([])
    row: dict[str, Any] = {
        field.name: blank.get(str(field.type), []) for field in table.schema
    }
    row.update(
        file=name,
        offset=offset,
        length_bytes=length,
        log_digest=digest,
        success="unknown",
        violations=[f"{UNREADABLE}: {reason}"],
    )
    return row


def common_spec(logs: Sequence[tuple[Path, str]]) -> EpisodeSpec:
    """Returns the spec that all readable logs share.

    Args:
      logs: Each log with how it is read.

    Raises:
      UserError: Two logs hold different kinds of episodes, or none can be opened.
    """
    specs: dict[str, tuple[Path, EpisodeSpec]] = {}
    damage: list[str] = []
    for log, reader in logs:
        try:
            spec = open_log(log, reader).spec
        except UserError as error:
            damage.append(str(error))
            continue
        specs.setdefault(spec.digest(), (log, spec))
    if not specs:
        raise UserError(f"no log can be opened: {damage[0]}")
    if len(specs) > 1:
        (first, a), (second, b) = list(specs.values())[:2]
        raise UserError(
            f"{first} and {second} hold different episodes ({spec_difference(a, b)}); "
            "build a version from logs of one spec"
        )
    return next(iter(specs.values()))[1]


def spec_difference(a: EpisodeSpec, b: EpisodeSpec) -> str:
    """Returns the first thing in which two specs differ."""
    ours = {feature.name: feature for feature in a.all_features}
    theirs = {feature.name: feature for feature in b.all_features}
    for name in sorted(set(ours) ^ set(theirs)):
        return f"only one has {name!r}"
    for name, feature in ours.items():
        if feature != theirs[name]:
            return (
                f"{name!r} differs: {list(feature.shape)}, {list(theirs[name].shape)}"
            )
    return f"{a.name!r} at {a.step_seconds} s, {b.name!r} at {b.step_seconds} s"
