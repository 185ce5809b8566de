"""Peak memory of a build at 5,000 and at 50,000 episodes, process by process.

Resident memory is the kernel's own high-water mark; own and proportional pages are
sampled twenty times a second, which a short run's bursts may slip through. Shards are
as large as the recipe has them, since a worker holds the plan rows of one. What a
worker holds beyond imports is its peak less that of a build of a handful of episodes,
which imports the same.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

from thresher.benchmarks.plane_inputs import Inputs
from thresher.benchmarks.plane_rates import thresher_build
from thresher.benchmarks.plane_runs import Results, run

WORKERS = 2
SIZES = ("handful", "all", "many")


def measure_memory(inputs: Inputs, results: Results) -> None:
    """Builds each size once, watched."""
    for workers in (WORKERS, 1):
        for size in SIZES:
            what = f"memory/{size}/{workers}"
            if not results.one(what):
                results.get(what, partial(_watched, inputs, size, workers))


def _watched(inputs: Inputs, size: str, workers: int) -> dict[str, Any]:
    logs = {"handful": "handful", "all": "logs", "many": "many"}[size]
    return watched_build(inputs, getattr(inputs, logs), workers)


def watched_build(inputs: Inputs, logs: Path, workers: int) -> dict[str, Any]:
    """Builds the version of some logs, its memory sampled, and removes it."""
    target = inputs.work / "built" / "watched"
    shutil.rmtree(target, ignore_errors=True)
    command = thresher_build(inputs, logs, target, workers, shards=0)
    taken = run(command, inputs.work / "logs_of_runs" / "watched.txt", sampled=True)
    shutil.rmtree(target)
    return taken.to_dict()
