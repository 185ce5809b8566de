"""Ingests tiny logs in this process, and reads what came of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thresher.episodes.raw_log import RawLogReader
from thresher.pipelines.ingest.ingest import ingest, ingested_logs
from thresher.pipelines.stage import local_options

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
ARM_MAPPING = """
name: arm
robot: tiny_arm
behaviour: {kind: teleoperated, policy: somebody}
clock: {stream: /state.q}
step_seconds: 0.1
features:
  observation/q: {from: /state.q, shape: [2], unit: rad}
action: {from: /command.dq, dtype: float64}
"""


def write_mapping(folder: Path, text: str = ARM_MAPPING, name: str = "m.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text)
    return file


def ingest_here(sources: Any, mapping: Path, out: Path) -> Any:
    """Ingests in this process."""
    several = sources if isinstance(sources, list) else [sources]
    return ingest(several, mapping, out, local_options(1))


def episodes_of(out: Path) -> list[Any]:
    """Returns every episode of an ingest, by log and position."""
    return [
        episode
        for log in ingested_logs(out)
        for _, episode in RawLogReader(log).episodes()
    ]
