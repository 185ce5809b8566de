"""What went wrong while collecting: kept as it happens, counted at the end."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class FaultKind(str, enum.Enum):
    """How a worker's world failed."""

    CRASH = "crash"
    HANG = "hang"
    INVALID = "invalid"


@dataclasses.dataclass(frozen=True)
class Fault:
    """One failure of a worker; its process was replaced.

    Attributes:
      kind: The process died, gave no sign of life, or its world returned something
        that is no observation.
      episode: Number of the episode under way.
      attempt: Which drawing of that episode it was.
      detail: What is known of it.
      time: UTC, ISO 8601.
    """

    kind: FaultKind
    episode: int
    attempt: int
    detail: str
    time: str = dataclasses.field(
        default_factory=lambda: datetime.datetime.now(datetime.timezone.utc).isoformat(
            "T", "seconds"
        )
    )

    def append_to(self, path: Path) -> None:
        """Adds a line to a file of faults; a kill cannot lose an earlier one."""
        with open(path, "a") as file:
            file.write(json.dumps(dataclasses.asdict(self)) + "\n")


def read_faults(path: Path) -> list[Fault]:
    """Returns the faults of all sessions of a run."""
    if not path.exists():
        return []
    rows = map(json.loads, path.read_text().splitlines())
    return [Fault(**{**row, "kind": FaultKind(row["kind"])}) for row in rows]


def reliability(faults: Sequence[Fault], worker_seconds: float) -> dict[str, Any]:
    """Returns counts by kind, restarts and the mean time between failures.

    Args:
      faults: Of the whole run.
      worker_seconds: Time that workers spent on episodes, all together.

    Returns:
      `mean_hours_between_failures` is None where nothing failed.
    """
    counts = Counter(fault.kind for fault in faults)
    hours = worker_seconds / 3600
    return {
        "faults": {kind.value: counts[kind] for kind in FaultKind},
        "restarts": len(faults),
        "mean_hours_between_failures": hours / len(faults) if faults else None,
    }
