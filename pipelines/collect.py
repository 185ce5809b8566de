"""Collects exactly the episodes that were asked for, whatever happens to workers.

Episode number i is a function of the seed and i alone. A unit of work is a range of
numbers, written as one raw log; a run is done when every unit's summary is there.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thresher.envs.policies.coherent_noise import CoherentNoise
from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write, require_free_space, require_writable
from thresher.episodes.metadata import Success
from thresher.episodes.raw_log import SUFFIX
from thresher.episodes.run_record import (
    RunRecord,
    recording,
    refuse_other_configuration,
)
from thresher.pipelines.faults import Fault, read_faults, reliability
from thresher.pipelines.stage import local_options, run_stage
from thresher.pipelines.worker_host import HostPool, StoppedError

RUN = "run.json"
LOGS = "logs"
FAULTS = "faults.jsonl"
WORKER_LOG = "workers.log"
# At 20 episodes a second a unit takes a few seconds: little to lose to a kill, and
# little to pay for a file.
UNIT_EPISODES = 50
# A generous first guess; a 64×64 grasp takes about 50 KB.
_BYTES_PER_EPISODE = 100_000
# The workers of this process; units reach them wherever the runner puts them.
_POOL = HostPool()


@dataclasses.dataclass(frozen=True)
class CollectConfig:
    """What a collection is.

    Attributes:
      policy: Name of a policy, or folder of an exported one.
      world: Name of the world.
      world_options: The world's options.
      episodes: Exactly how many.
      seed: All randomness derives from it and the episode's number.
      noise: Standard deviation of exploration noise on every entry of the action.
      noise_correlation: Of that noise from step to step; 0 for white noise.
      episode_seconds: Longest that an episode may take before its world counts as
        hanging; a hundred times what is usual.
    """

    policy: str = "scripted"
    world: str = "bin_grasping"
    world_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    episodes: int = 1000
    seed: int = 0
    noise: float = 0.0
    noise_correlation: float = 0.0
    episode_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise UserError(
                f"cannot collect {self.episodes} episodes; ask for 1 or more"
            )
        # Fails here where noise cannot be.
        CoherentNoise((), self.noise_correlation)
        if not self.noise >= 0:
            raise UserError(f"exploration noise {self.noise} is not 0 or more")
        if not self.episode_seconds > 0:
            raise UserError(
                f"an episode cannot be done in {self.episode_seconds} s; allow more"
            )

    @property
    def actors(self) -> dict[str, Any]:
        """What an episode worker needs to make world and policy."""
        names = ("policy", "world", "world_options", "seed")
        noise = ("noise", "noise_correlation")
        return {name: getattr(self, name) for name in (*names, *noise)}


@dataclasses.dataclass(frozen=True)
class CollectUnit:
    """A range of episodes, one raw log.

    Attributes:
      folder: Where log and summary go.
      config: Of the whole collection.
      first: Number of its first episode.
      size: How many episodes.
    """

    folder: Path
    config: CollectConfig
    first: int
    size: int

    @property
    def path(self) -> Path:
        """The summary, written after the log."""
        return self.folder / f"{self.first:08d}.json"

    @property
    def log(self) -> Path:
        """The raw log."""
        return self.folder / f"{self.first:08d}{SUFFIX}"

    def run(self) -> None:
        """Has a worker act out the episodes, then writes the summary.

        Raises:
          UserError: What the worker refused, or episodes that always fail.
        """
        began = time.monotonic()
        job = {
            "log": str(self.log),
            "first": self.first,
            "size": self.size,
            "actors": self.config.actors,
        }
        printed = self.folder.parent / WORKER_LOG
        try:
            with _POOL.host(printed, self.config.episode_seconds) as host:
                said = host.run(job, self.folder.parent / FAULTS)
        except StoppedError:
            return  # The next session does this unit.
        summary = {**said, "seconds": time.monotonic() - began}
        atomic_write(self.path, json.dumps(summary))


def collect(
    config: CollectConfig, folder: Path, *, workers: int = 0, force: bool = False
) -> RunRecord:
    """Collects episodes, going on from what an earlier session left.

    Args:
      config: What to collect.
      folder: Gets run.json and logs/*.mcap, and where something failed faults.jsonl.
      workers: Processes; 0 for one a processor. They change nothing in the logs.
      force: Collect with a learned policy that was not measured to be good enough.

    Raises:
      UserError: A folder of another collection or that cannot be written, too little
        room, unknown world or policy, a learned policy below the success that makes
        it worth collecting with.
      KeyboardInterrupt: Stopped by Ctrl-C; the same call goes on.
    """
    configuration = dataclasses.asdict(config)
    refuse_other_configuration(folder / RUN, configuration)
    if (folder / RUN).exists() and RunRecord.read(folder / RUN).finished:
        return RunRecord.read(folder / RUN)
    require_writable(folder / LOGS)
    require_free_space(folder, config.episodes * _BYTES_PER_EPISODE)
    _require_actors(config, force)
    units = collect_units(config, folder / LOGS)
    _remove_parts(folder / LOGS)
    with recording("collect", folder / RUN, configuration) as record:
        earlier, began = record.seconds, time.monotonic()
        with _POOL.open():
            options = local_options(workers, "multi_threading")
            run_stage("collect", units, options, _success_note)
        seconds = earlier + time.monotonic() - began
        record.results.update(_results(units, read_faults(folder / FAULTS), seconds))
    return record


def collect_units(config: CollectConfig, folder: Path) -> list[CollectUnit]:
    """Returns the units of a collection."""
    return [
        CollectUnit(folder, config, first, min(UNIT_EPISODES, config.episodes - first))
        for first in range(0, config.episodes, UNIT_EPISODES)
    ]


def _require_actors(config: CollectConfig, force: bool) -> None:
    """Fails here, and once, where names are unknown; prepares what workers share."""
    from thresher.envs.policies.measured import require_measured_success
    from thresher.envs.registry import is_saved, make_world, require_policy

    require_policy(config.policy)
    if is_saved(config.policy) and not force:
        require_measured_success(Path(config.policy), config.world)
    world = make_world(config.world, **config.world_options)
    try:
        world.prepare(config.episodes)
    finally:
        world.close()


def _remove_parts(folder: Path) -> None:
    for path in folder.glob(".*.part"):
        path.unlink()


def _summaries(units: Sequence[CollectUnit]) -> list[dict[str, Any]]:
    return [_summary(unit.path) for unit in units]


@functools.cache
def _summary(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text())
    return read


def _success_note(done: Sequence[CollectUnit]) -> str:
    successes = sum(s["outcomes"].get("yes", 0) for s in _summaries(done))
    return f"success {successes / max(1, sum(unit.size for unit in done)):.1%}"


def _results(
    units: list[CollectUnit], faults: Sequence[Fault], seconds: float
) -> dict[str, Any]:
    summaries = _summaries(units)
    outcomes: Counter[str] = Counter()
    others: dict[str, Counter[str]] = {}
    for summary in summaries:
        outcomes.update(summary["outcomes"])
        for source, counts in summary["other_labels"].items():
            others.setdefault(source, Counter()).update(counts)
    worker_seconds = sum(summary["seconds"] for summary in summaries)
    episodes = sum(outcomes.values())
    return {
        "episodes": episodes,
        "outcomes": {label.value: outcomes[label.value] for label in Success},
        "other_labels": {source: dict(counts) for source, counts in others.items()},
        "success_ratio": outcomes["yes"] / episodes,
        "log_bytes": sum(unit.log.stat().st_size for unit in units),
        "trials_per_hour": 3600 * episodes / seconds,
        "episodes_per_worker_hour": 3600 * episodes / worker_seconds,
        **reliability(faults, worker_seconds),
    }
