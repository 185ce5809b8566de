"""Runs a policy on what it must generalise to, and keeps every episode.

An evaluation folder holds `run.json` (what was asked, the success rate with its
interval, one row an episode) and `episodes.mcap`, the episodes themselves, so that
every verdict can be looked at. Episode i of any two evaluations with the same world
and seed starts from the same scene: their difference is the policies' alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thresher.envs.policies.measured import note_measurement
from thresher.envs.registry import is_saved
from thresher.episodes.episode import Episode
from thresher.episodes.errors import UserError
from thresher.episodes.files import require_writable
from thresher.episodes.metadata import Success
from thresher.episodes.progress import progress
from thresher.episodes.raw_log import RawLogReader, RawLogWriter
from thresher.episodes.run_record import (
    RunRecord,
    recording,
    refuse_other_configuration,
)
from thresher.eval.intervals import Proportion

RUN = "run.json"
EPISODES = "episodes.mcap"


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """What an evaluation is.

    Attributes:
      policy: Name of a policy, or folder of an exported one.
      world: Name of the world.
      world_options: Options of the world beside the object set.
      object_set: 'eval', or 'train' to look at memorisation.
      episodes: How many episodes. 250 give an interval of about ± 6 points.
      seed: Scenes and the policy's own randomness derive from it and the number.
    """

    policy: str
    world: str = "bin_grasping"
    world_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    object_set: str = "eval"
    episodes: int = 250
    seed: int = 1_000_000

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise UserError(
                f"an evaluation of {self.episodes} episodes says nothing; ask for at "
                "least 1, and for 200 or more to compare policies"
            )


def evaluate(
    config: EvaluationConfig, folder: Path, *, allow_training_objects: bool = False
) -> RunRecord:
    """Evaluates a policy, or returns the record of the evaluation already there.

    Args:
      config: What to evaluate, on what.
      folder: Where record and episodes go.
      allow_training_objects: Say that success on objects seen in training is wanted.

    Raises:
      UserError: Training objects without leave, an unknown policy or world, a folder
        of another evaluation, a folder that cannot be written.
    """
    if config.object_set != "eval" and not allow_training_objects:
        raise UserError(
            f"object set {config.object_set!r} was seen in training, and success on it "
            "says nothing about generalisation; use 'eval', or ask for it with "
            "--allow-training-objects"
        )
    configuration = dataclasses.asdict(config)
    refuse_other_configuration(folder / RUN, configuration)
    if is_finished(folder):
        return RunRecord.read(folder / RUN)
    require_writable(folder)
    with recording("evaluate", folder / RUN, configuration) as record:
        rows = [summary_row(episode) for episode in _episodes(config, folder)]
        record.results.update(summarise(rows), episodes=rows)
    _note_in_policy(config, record)
    return record


def _note_in_policy(config: EvaluationConfig, record: RunRecord) -> None:
    """Lets an exported policy carry what it was measured to achieve."""
    if is_saved(config.policy):
        rate = proportion(record)
        note_measurement(
            Path(config.policy), record.configuration, rate.successes, rate.trials
        )


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a finished evaluation."""
    run = folder / RUN
    return run.exists() and RunRecord.read(run).finished


def proportion(record: RunRecord) -> Proportion:
    """Returns the success rate that an evaluation measured."""
    return Proportion(record.results["successes"], record.results["trials"])


def _episodes(config: EvaluationConfig, folder: Path) -> Iterator[Episode]:
    """Yields the episodes as they are run, keeping those of an interrupted run."""
    from thresher.envs.registry import make_policy, make_world, require_policy
    from thresher.envs.rollout import rollout

    require_policy(config.policy)
    options = {**config.world_options, "object_set": config.object_set}
    world = make_world(config.world, **options)
    world.prepare(config.episodes)
    policy = make_policy(config.policy, world)
    scratch = folder / f".{EPISODES}"
    scratch.unlink(missing_ok=True)
    successes = 0
    try:
        with (
            RawLogWriter(scratch, world.episode_spec) as log,
            progress(f"evaluate {policy.policy_id}", config.episodes) as bar,
        ):
            for number in range(config.episodes):
                episode = rollout(world, policy, config.seed, number)
                log.write(episode)
                successes += episode.metadata.outcome.success is Success.YES
                bar.advance(f"success {successes / (number + 1):.1%}")
                yield episode
    finally:
        world.close()
    scratch.replace(folder / EPISODES)


def summary_row(episode: Episode) -> dict[str, Any]:
    """Returns what the record keeps of one episode."""
    metadata = episode.metadata
    terminal = bool(episode.array("is_terminal")[-1])
    return {
        "source_id": metadata.source_id,
        "scene_id": metadata.scene_id,
        "object_ids": list(metadata.object_ids),
        "success": metadata.outcome.success.value,
        "episode_return": metadata.outcome.episode_return,
        "transitions": episode.num_transitions,
        "ending": "terminal" if terminal else "time-out",
        "behaviour_kind": metadata.behaviour.kind.value,
        "policy_id": metadata.behaviour.policy_id,
        "policy_version": metadata.behaviour.policy_version,
    }


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the success rate with its interval, and whose it is."""
    successes = sum(row["success"] == Success.YES.value for row in rows)
    rate = Proportion(successes, len(rows))
    return {
        "behaviour_kind": rows[0]["behaviour_kind"],
        "policy_id": rows[0]["policy_id"],
        "policy_version": rows[0]["policy_version"],
        "successes": successes,
        "trials": len(rows),
        "success_rate": rate.rate,
        "interval": list(rate.interval),
        "confidence": rate.confidence,
        "interval_method": "Wilson",
        "time_outs": sum(row["ending"] == "time-out" for row in rows),
    }


def read_episodes(folder: Path) -> Iterator[Episode]:
    """Yields the episodes of a finished evaluation."""
    for _, episode in RawLogReader(folder / EPISODES).episodes():
        yield episode
