"""Collects exactly the episodes that were asked for, whatever happens to workers.

Episode number i is a function of the seed and i alone. A unit of work is a range of
numbers, written as one raw log; a run is done when every unit's summary is there.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write, require_free_space, require_writable
from thresher.episodes.metadata import Success
from thresher.episodes.raw_log import SUFFIX, RawLogWriter
from thresher.episodes.run_record import (
    RunRecord,
    recording,
    refuse_other_configuration,
)
from thresher.pipelines.stage import local_options, run_stage

RUN = "run.json"
LOGS = "logs"
# At 20 episodes a second a unit takes a few seconds: little to lose to a kill, and
# little to pay for a file.
UNIT_EPISODES = 50
# A generous first guess; a 64×64 grasp takes about 50 KB.
_BYTES_PER_EPISODE = 100_000


@dataclasses.dataclass(frozen=True)
class CollectConfig:
    """What a collection is.

    Attributes:
      policy: Name of a policy, or folder of an exported one.
      world: Name of the world.
      world_options: The world's options.
      episodes: Exactly how many.
      seed: All randomness derives from it and the episode's number.
    """

    policy: str = "scripted"
    world: str = "bin_grasping"
    world_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    episodes: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise UserError(
                f"cannot collect {self.episodes} episodes; ask for 1 or more"
            )


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
        """Acts out the episodes and writes the log."""
        from thresher.envs.rollout import rollout

        world, policy = _actors(self.config)
        scratch = self.folder / f".{self.first:08d}.{os.getpid()}.part"
        scratch.unlink(missing_ok=True)
        outcomes: Counter[str] = Counter()
        began = time.monotonic()
        with RawLogWriter(scratch, world.episode_spec) as log:
            for number in range(self.first, self.first + self.size):
                episode = rollout(world, policy, self.config.seed, number)
                log.write(episode)
                outcomes[episode.metadata.outcome.success.value] += 1
        scratch.replace(self.log)
        summary = {"outcomes": outcomes, "seconds": time.monotonic() - began}
        atomic_write(self.path, json.dumps(summary))


def collect(config: CollectConfig, folder: Path, *, workers: int = 0) -> RunRecord:
    """Collects episodes, going on from what an earlier session left.

    Args:
      config: What to collect.
      folder: Gets run.json and logs/*.mcap.
      workers: Processes; 0 for one a processor. They change nothing in the logs.

    Raises:
      UserError: A folder of another collection or that cannot be written, too little
        room, unknown world or policy.
      KeyboardInterrupt: Stopped by Ctrl-C; the same call goes on.
    """
    configuration = dataclasses.asdict(config)
    refuse_other_configuration(folder / RUN, configuration)
    if (folder / RUN).exists() and RunRecord.read(folder / RUN).finished:
        return RunRecord.read(folder / RUN)
    require_writable(folder / LOGS)
    require_free_space(folder, config.episodes * _BYTES_PER_EPISODE)
    # Fails here, and once, where names are unknown; and prepares what workers share.
    _actors(config)
    units = collect_units(config, folder / LOGS)
    _remove_parts(folder / LOGS)
    with recording("collect", folder / RUN, configuration) as record:
        run_stage("collect", units, local_options(workers), _success_note)
        record.results.update(_results(units))
    return record


def collect_units(config: CollectConfig, folder: Path) -> list[CollectUnit]:
    """Returns the units of a collection."""
    return [
        CollectUnit(folder, config, first, min(UNIT_EPISODES, config.episodes - first))
        for first in range(0, config.episodes, UNIT_EPISODES)
    ]


def _actors(config: CollectConfig) -> tuple[Any, Any]:
    frozen = json.dumps(dict(config.world_options), sort_keys=True)
    return _cached_actors(config.policy, config.world, frozen)


@functools.lru_cache(maxsize=1)
def _cached_actors(policy: str, world: str, options: str) -> tuple[Any, Any]:
    """A worker's world and policy, kept from unit to unit: making them takes long."""
    from thresher.envs.registry import make_policy, make_world, require_policy

    require_policy(policy)
    made = make_world(world, **json.loads(options))
    return made, make_policy(policy, made)


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


def _results(units: list[CollectUnit]) -> dict[str, Any]:
    summaries = _summaries(units)
    outcomes: Counter[str] = Counter()
    for summary in summaries:
        outcomes.update(summary["outcomes"])
    worker_hours = sum(summary["seconds"] for summary in summaries) / 3600
    episodes = sum(outcomes.values())
    return {
        "episodes": episodes,
        "outcomes": {label.value: outcomes[label.value] for label in Success},
        "success_ratio": outcomes["yes"] / episodes,
        "log_bytes": sum(unit.log.stat().st_size for unit in units),
        "episodes_per_worker_hour": episodes / worker_hours,
    }
