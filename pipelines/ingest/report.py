"""What an ingest did: per recording and in total, reconciled."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thresher.episodes.errors import UserError

_MAX_LINES = 20
_MAX_REASONS = 3


# In the folder of an ingest: the report of all recordings, and those of each.
REPORT = "ingest.json"
REPORTS = ".reports"


@dataclasses.dataclass(frozen=True)
class RecordingReport:
    """What became of one recording.

    Attributes:
      source: Its path below its source's root.
      format: Its format; empty if that could not be told.
      sha256: Of its bytes.
      log: The raw log of its episodes, below the output folder; empty if it has none.
      episodes: Episodes written.
      quarantined: What is no episode: {'position': …, 'reasons': […]}.
      error: Why the recording as a whole could not be read; empty if it could.
      damage: Why it could not be read to its end; empty if it could.
      read: Messages (rows, of tables) of the topics that the mapping names.
      used: Those of which something is in an episode.
      dropped: The others, by reason; read = used + the sum of these.
      not_mapped: Messages of other topics, by topic.
      skew_seconds: By field, the farthest that a value is from its step.
      gap_seconds: By field, the longest time between two values in an episode.
      notes: What was found damaged, with its place.
    """

    source: str
    format: str = ""
    sha256: str = ""
    log: str = ""
    episodes: int = 0
    quarantined: Sequence[Mapping[str, Any]] = ()
    error: str = ""
    damage: str = ""
    read: int = 0
    used: int = 0
    dropped: Mapping[str, int] = dataclasses.field(default_factory=dict)
    not_mapped: Mapping[str, int] = dataclasses.field(default_factory=dict)
    skew_seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    gap_seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def reconciles(self) -> bool:
        """Whether every message that was read is accounted for."""
        return self.read == self.used + sum(self.dropped.values())

    def to_json(self) -> str:
        """Returns the report as JSON text with sorted keys."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RecordingReport:
        """Reads what `to_json` wrote."""
        return cls(**json.loads(text))


@dataclasses.dataclass(frozen=True)
class IngestReport:
    """What became of all recordings of an ingest.

    Attributes:
      mapping: Digest of the mapping.
      recordings: One report each, by source.
    """

    mapping: str
    recordings: Sequence[RecordingReport]

    @property
    def episodes(self) -> int:
        """Episodes written."""
        return sum(report.episodes for report in self.recordings)

    @property
    def quarantined(self) -> int:
        """Parts of recordings that are no episodes."""
        return sum(len(r.quarantined) for r in self.recordings)

    def total(self) -> dict[str, Any]:
        """Returns the counts of all recordings together."""
        dropped: Counter[str] = Counter()
        for report in self.recordings:
            dropped.update(report.dropped)
        return {
            "recordings": len(self.recordings),
            "unread": sum(bool(report.error) for report in self.recordings),
            "episodes": self.episodes,
            "quarantined": self.quarantined,
            "read": sum(report.read for report in self.recordings),
            "used": sum(report.used for report in self.recordings),
            "dropped": dict(sorted(dropped.items())),
            "skew_seconds": _worst([r.skew_seconds for r in self.recordings]),
            "gap_seconds": _worst([r.gap_seconds for r in self.recordings]),
        }

    def to_json(self) -> str:
        """Returns the report as JSON text, totals first."""
        recordings = [dataclasses.asdict(report) for report in self.recordings]
        return json.dumps(
            {"mapping": self.mapping, "total": self.total(), "recordings": recordings},
            indent=1,
        )

    def lines(self) -> list[str]:
        """Returns the report for people."""
        total = self.total()
        lines = [
            f"{total['recordings']} recordings ({total['unread']} unread): "
            f"{total['episodes']} episodes kept, {total['quarantined']} quarantined",
            f"{total['read']} messages read = {total['used']} used"
            + "".join(f" + {n} {reason}" for reason, n in total["dropped"].items()),
        ]
        others = sum(sum(r.not_mapped.values()) for r in self.recordings)
        lines.append(f"{others} messages of topics that the mapping does not name")
        for field, skew in total["skew_seconds"].items():
            gap = total["gap_seconds"].get(field, 0.0)
            lines.append(
                f"  {field}: at most {skew:.3f} s off, longest gap {gap:.3f} s"
            )
        said = [line for report in self.recordings for line in _trouble(report)]
        lines += said[:_MAX_LINES]
        if len(said) > _MAX_LINES:
            lines.append(f"and {len(said) - _MAX_LINES} more, in {REPORT}")
        return lines


def _trouble(report: RecordingReport) -> list[str]:
    lines = [f"unread: {report.error}"] if report.error else []
    lines += [f"cut off: {report.damage}"] if report.damage else []
    lines += [
        f"quarantined: {report.source}, {entry['position']}: {_few(entry['reasons'])}"
        for entry in report.quarantined
    ]
    told = " ".join(reason for e in report.quarantined for reason in e["reasons"])
    notes = [note for note in report.notes if note not in told]
    return lines + ([f"damaged: {report.source}: {_few(notes)}"] if notes else [])


def _few(several: Sequence[str]) -> str:
    shown = "; ".join(several[:_MAX_REASONS])
    more = len(several) - _MAX_REASONS
    return f"{shown}; and {more} more, in {REPORT}" if more > 0 else shown


def listed_logs(out: Path) -> list[Path]:
    """Returns the raw logs that the last ingest into a folder wrote, by its report.

    Raises:
      UserError: Nothing was ingested into it, or an ingest was broken off.
    """
    return [out / r.log for r in read_report(out / REPORT).recordings if r.log]


def _worst(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    worst: dict[str, float] = {}
    for one in several:
        for field, value in one.items():
            worst[field] = max(worst.get(field, 0.0), value)
    return dict(sorted(worst.items()))


def read_report(file: Path) -> IngestReport:
    """Reads a folder's ingest.json.

    Raises:
      UserError: It is not there, or not one.
    """
    try:
        raw = json.loads(file.read_text())
        reports = [RecordingReport(**entry) for entry in raw["recordings"]]
        return IngestReport(raw["mapping"], reports)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} is no report of an ingest ({error}); run `thresher ingest` into "
            "that folder first"
        ) from error
