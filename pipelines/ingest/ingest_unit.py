"""Ingests one recording: a unit of work that leaves a raw log and a report."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write, scratch_beside
from thresher.episodes.log_source import source_digest
from thresher.episodes.raw_log import SUFFIX, RawLogWriter
from thresher.pipelines.ingest.assemble import Assembled
from thresher.pipelines.ingest.convert import Conversion, Origin, revision
from thresher.pipelines.ingest.digest_beside import DigestBeside
from thresher.pipelines.ingest.formats import open_recording
from thresher.pipelines.ingest.mapping import LogMapping
from thresher.pipelines.ingest.report import REPORT, REPORTS, RecordingReport
from thresher.pipelines.ingest.sources import Found, size_of, state_of
from thresher.pipelines.unit_progress import telling

# Of a raw log's name, less its suffix.
_MOST_NAME_BYTES = 200


@dataclasses.dataclass(frozen=True)
class IngestUnit:
    """One recording to ingest.

    Attributes:
      found: The recording.
      mapping: What it means.
      out: The output folder.
      path: Its report, named by the recording's state and the mapping, so that a
        change of either makes it anew.
      size: Bytes of the recording.
    """

    found: Found
    mapping: LogMapping
    out: Path
    path: Path
    size: int

    @property
    def log(self) -> Path:
        """The raw log that its episodes are written to."""
        folder, _, name = self.found.name.rpartition("/")
        if len(os.fsencode(name)) > _MOST_NAME_BYTES:
            # What is added to it here and there must fit into a file's name, too.
            short = os.fsencode(name)[: _MOST_NAME_BYTES - 20].decode(errors="ignore")
            name = f"{short}~{_slug(name)}"
        return self.out / folder / f"{name}{SUFFIX}"

    def run(self) -> None:
        """Writes the raw log, then the report."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        report = self._report()
        atomic_write(self.path, report.to_json())

    def _report(self) -> RecordingReport:
        report = RecordingReport(source=self.found.name)
        try:
            recording = open_recording(
                self.found.path, self.mapping.options, self.mapping.format
            )
        except Exception as error:  # noqa: BLE001
            return dataclasses.replace(report, error=self._why(error))
        report = dataclasses.replace(report, format=recording.format)
        origin = Origin(self.found.name, recording.format)
        conversion = Conversion(recording, self.mapping, origin)
        state = state_of(self.found.path)
        read = conversion.bytes_read
        with telling(self, read), DigestBeside(self.found.path, read) as digest:
            try:
                report = self._ingest(conversion, report, digest, state)
            except Exception as error:  # noqa: BLE001
                report = dataclasses.replace(report, error=self._why(error))
            return dataclasses.replace(report, sha256=digest.result())

    def _why(self, error: Exception) -> str:
        """Returns what the report says of what stopped the ingest of a recording.

        A damaged file can break its format's library in ways nobody listed; whatever it
        is, it must not take the other recordings with it.

        Raises:
          OSError: The disk's trouble, not the recording's; the stage tells it.
        """
        if isinstance(error, UserError):
            return str(error)
        if isinstance(error, OSError):
            raise error
        last = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"{self.found.path} cannot be read: {type(error).__name__}: {error} (at "
            f"{Path(last.filename).name}:{last.lineno}); copy it again, and report it "
            "if it is sound"
        )

    def _ingest(
        self,
        conversion: Conversion,
        report: RecordingReport,
        digest: DigestBeside,
        state: str,
    ) -> RecordingReport:
        gathered = _Gathered()
        with self._writing(digest, state) as writer:
            for result in conversion.results():
                if isinstance(result, Assembled):
                    writer().write(result.episode)
                    gathered.add(result)
                else:
                    gathered.quarantined.append(dataclasses.asdict(result))
        counts = conversion.ledger.to_dict()
        return dataclasses.replace(
            report,
            log=self.log.relative_to(self.out).as_posix() if gathered.episodes else "",
            episodes=gathered.episodes,
            quarantined=gathered.quarantined,
            damage=conversion.damage,
            not_mapped=dict(sorted(conversion.not_asked_for.items())),
            skew_seconds=gathered.skew,
            gap_seconds=gathered.gap,
            **counts,
        )

    @contextmanager
    def _writing(
        self, digest: DigestBeside, state: str
    ) -> Iterator[Callable[[], RawLogWriter]]:
        """Gives a function that returns the writer; the log appears whole, or not."""
        opened: list[RawLogWriter] = []
        scratch = scratch_beside(self.log)

        def writer() -> RawLogWriter:
            if not opened:
                scratch.parent.mkdir(parents=True, exist_ok=True)
                opened.append(RawLogWriter(scratch, self.mapping.spec))
            return opened[0]

        try:
            yield writer
            source = digest.result()
            if state_of(self.found.path) != state:
                raise UserError(
                    f"{self.found.path} changed while it was read; run the same "
                    "command again when nobody writes to it any more"
                )
            if opened:
                opened[0].tell_source(source)
                opened.pop().close()
                scratch.replace(self.log)
        finally:
            # On a full disk, closing fails too.
            with suppress(OSError):
                for unfinished in opened:
                    unfinished.close()
            scratch.unlink(missing_ok=True)


class _Gathered:
    """What the episodes of a recording have in common."""

    def __init__(self) -> None:
        self.episodes = 0
        self.quarantined: list[dict[str, Any]] = []
        self.skew: dict[str, float] = {}
        self.gap: dict[str, float] = {}

    def add(self, made: Assembled) -> None:
        self.episodes += 1
        for worst, new in (
            (self.skew, made.skew_seconds),
            (self.gap, made.gap_seconds),
        ):
            for field, value in new.items():
                worst[field] = max(worst.get(field, 0.0), value)


def make_way(units: Sequence[IngestUnit], out: Path) -> None:
    """Removes what kills, and other states or mappings of recordings, have left.

    A raw log stays until another one takes its place; until the ingest has ended, no
    report lists it.

    Args:
      units: All that are to be done, or are.
      out: The output folder.

    Raises:
      UserError: A raw log would take the place of a file that no ingest wrote.
    """
    folder = out / REPORTS
    known = {file.name.split(".")[0] for file in folder.glob("*.json")}
    waiting = [unit for unit in units if not unit.path.exists()]
    for unit in waiting:
        if _slug(unit.found.name) not in known and not _is_ingested(unit.log):
            raise UserError(
                f"{unit.log} is there and was not written by `thresher ingest`: the "
                f"episodes of {unit.found.name} would take its place; choose another "
                "folder with --out, or move it away"
            )
    if waiting:
        (out / REPORT).unlink(missing_ok=True)
    current = {_slug(unit.found.name): unit.path.name for unit in units}
    for file in folder.glob("*"):
        name = file.name.split(".")[0]
        if current.get(name, file.name) != file.name:
            file.unlink()
    for half in out.rglob(f".*{SUFFIX}.*.part"):
        half.unlink(missing_ok=True)


def _is_ingested(log: Path) -> bool:
    """Whether a file is not there, or says what recording it was made from."""
    try:
        return not log.exists() or bool(source_digest(log))
    # Whatever it is, it is not an ingest's.
    except Exception:  # noqa: BLE001
        return False


def ingest_unit(found: Found, mapping: LogMapping, out: Path) -> IngestUnit:
    """Returns the unit of a recording."""
    state = f"{found.name}\n{state_of(found.path)}\n{revision(mapping)}"
    key = hashlib.sha256(state.encode()).hexdigest()[:16]
    path = out / REPORTS / f"{_slug(found.name)}.{key}.json"
    return IngestUnit(found, mapping, out, path, max(1, size_of(found.path)))


def _slug(name: str) -> str:
    """Returns a file name of a recording's name: short, and of no other's."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]
