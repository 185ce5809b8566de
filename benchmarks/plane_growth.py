"""How time and memory grow with episodes: builds of small ones, plans of indexes.

The builds are of generated episodes of three steps with an 8×8 picture, so that a
hundred thousand take minutes: what grows with their number shows, not their pixels.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from thresher.benchmarks.plane_inputs import Inputs, write_log
from thresher.benchmarks.plane_memory import watched_build
from thresher.benchmarks.plane_runs import Results, run
from thresher.episodes.episode import Episode
from thresher.episodes.metadata import (
    Behaviour,
    BehaviourKind,
    EpisodeMetadata,
    Outcome,
    Success,
)
from thresher.episodes.recorder import StepRecorder
from thresher.episodes.spec import EpisodeSpec, FeatureSpec

BUILDS = (1_000, 10_000, 100_000)
PLANS = (100_000, 1_000_000, 10_000_000)
_LOG_EPISODES = 500
_TRANSITIONS = 2
_SPEC = EpisodeSpec(
    "small",
    (
        FeatureSpec("observation/image", (8, 8, 3), "uint8", "Noise.", encoding="png"),
        FeatureSpec("observation/height", (1,), "float32", "Noise.", "m"),
        FeatureSpec("action", (2,), "float32", "Noise.", minimum=-1.0, maximum=1.0),
    ),
    step_seconds=0.1,
)


def measure_growth(inputs: Inputs, results: Results) -> None:
    """Builds from generated logs, one worker, memory watched."""
    for episodes in BUILDS:
        what = f"growth/{episodes}"
        if not results.one(what):
            logs = small_logs(inputs.work, episodes)
            results.get(what, partial(watched_build, inputs, logs, 1))


def measure_plans(inputs: Inputs, results: Results) -> None:
    """Makes the plan of generated indexes, each in a process of its own."""
    for rows in PLANS:
        results.get(f"plan/{rows}", partial(_planned, inputs, rows))


def small_logs(work: Path, episodes: int) -> Path:
    """Returns a folder of generated raw logs, made by two processes."""
    folder = work / f"small_{episodes}"
    folder.mkdir(exist_ok=True)
    with ProcessPoolExecutor(2) as pool:
        firsts = range(0, episodes, _LOG_EPISODES)
        list(pool.map(partial(_write_log, folder), firsts, chunksize=4))
    return folder


def _write_log(folder: Path, first: int) -> None:
    numbers = range(first, first + _LOG_EPISODES)
    episodes = (_small_episode(number) for number in numbers)
    write_log(folder / f"{first:08d}.mcap", _SPEC, episodes)


def _small_episode(number: int) -> Episode:
    rng = np.random.default_rng(number)
    recorder = StepRecorder(_SPEC)
    recorder.first(_observation(rng))
    success = bool(number % 4 == 0)
    for step in range(_TRANSITIONS):
        ends = step == _TRANSITIONS - 1
        action = rng.uniform(-0.9, 0.9, 2).astype(np.float32)
        reward = float(ends and success)
        recorder.step(
            action, reward, _observation(rng), terminated=ends, truncated=False
        )
    return recorder.finish(_metadata(number, success))


def _observation(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "image": rng.integers(0, 256, (8, 8, 3), dtype=np.uint8),
        "height": rng.uniform(0, 1, 1).astype(np.float32),
    }


def _metadata(number: int, success: bool) -> EpisodeMetadata:
    verdict = Success.YES if success else Success.NO
    return EpisodeMetadata(
        source_id=f"small/{number:08d}",
        task="hold the small thing",
        robot="generated",
        scene_id=f"scene/{number // 3:08d}",
        object_ids=(f"object/{number % 97}",),
        language="",
        start_time_ns=number * 10**9,
        environment={"friction": float(number % 10)},
        outcome=Outcome(verdict, float(success), "generated"),
        behaviour=Behaviour(BehaviourKind.SCRIPTED, "generated", "1"),
    )


def _planned(inputs: Inputs, rows: int) -> dict[str, Any]:
    index = inputs.work / f"index_{rows}.parquet"
    log = inputs.work / "logs_of_runs" / f"plan_{rows}.txt"
    command = [sys.executable, "-m", "thresher.benchmarks.plane_index"]
    command += [str(index), str(rows)]
    if not index.exists():
        run(command, log)
    taken = run(command, log, sampled=True)
    (line,) = (x for x in log.read_text().splitlines() if x.startswith("{"))
    return {**taken.to_dict(), "steps": json.loads(line)}
