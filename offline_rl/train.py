"""Trains a learner offline on a dataset version: one readable loop."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from thresher.envs.cache import cache_folder
from thresher.envs.registry import world_geometry
from thresher.episodes.errors import UserError
from thresher.episodes.progress import progress
from thresher.episodes.run_record import RunRecord, recording
from thresher.episodes.version import Version, open_version
from thresher.offline_rl.checkpoints import RunCheckpoints
from thresher.offline_rl.held_out import held_out_metrics
from thresher.offline_rl.learner import Learner
from thresher.offline_rl.metrics import MetricsWriter
from thresher.offline_rl.registry import learner_class, make_config
from thresher.offline_rl.run_directory import open_run_directory
from thresher.offline_rl.stopping import StopRequest
from thresher.offline_rl.transitions.cache import TransitionCache
from thresher.offline_rl.transitions.dataset import transition_dataset
from thresher.offline_rl.transitions.sampler import TransitionSampler
from thresher.offline_rl.transitions.unpack import (
    cached_transitions,
    require_rewards,
    split_names,
)

if TYPE_CHECKING:
    from thresher.envs.grasping.geometry import GraspGeometry

TRAIN_SPLIT = "train"
# Splits of objects that are never trained on, the first that is there is used.
HELD_OUT_SPLITS = ("val", "test", "eval")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """What decides what a training run computes.

    Attributes:
      learner: A name of the registry.
      settings: The learner's settings that differ from its defaults.
      steps: Gradient steps; 2,400 of batch 64 learn from 11,000 grasps in minutes.
      batch_size: Transitions per step.
      sampling: 'stratified' by success (half and half), 'uniform', or 'weighted' as
        the version's sampling weights say.
      seed: Of everything random: first weights, batches, augmentation, CEM.
      world: Whose camera and workspace a learner may know.
    """

    learner: str = "qt-opt"
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    steps: int = 2400
    batch_size: int = 64
    sampling: str = "stratified"
    seed: int = 0
    world: str = "bin_grasping"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps must be at least 1, not {self.steps}")


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How often a run looks up from its work; changes nothing that it computes.

    Attributes:
      checkpoint_seconds: At most this much work is lost to a kill.
      log_steps: Steps averaged into one point of the training curves.
      evaluations: Times that the held-out split is looked at.
    """

    checkpoint_seconds: float = 60.0
    log_steps: int = 50
    evaluations: int = 8


def train(
    dataset: Path,
    run_dir: Path,
    config: TrainConfig,
    *,
    cache_dir: Path | None = None,
    schedule: Schedule = Schedule(),
    geometry: GraspGeometry | None = None,
) -> dict[str, float]:
    """Trains, or goes on with a run that was interrupted, and exports the policy.

    Args:
      dataset: A sealed version.
      run_dir: Gets config.json, run.json, metrics.csv, checkpoints/, tensorboard/
        and policy/.
      config: What to train.
      cache_dir: Where transition caches are kept; the user's cache folder if None.
      schedule: How often to checkpoint, log and evaluate.
      geometry: The world's camera and workspace; asked of `config.world` if None.

    Returns:
      The last metrics by name.

    Raises:
      UserError: A dataset or setting that cannot be trained with, or a run folder of
        another configuration.
      KeyboardInterrupt: Stopped by Ctrl-C, after a checkpoint.
    """
    version = open_version(dataset)
    learner_config = make_config(config.learner, config.settings)
    facts = _facts(version, config, learner_config)
    open_run_directory(run_dir, facts)
    if _finished(run_dir):
        kept = RunRecord.read(run_dir / "run.json").results
        return {name: v for name, v in kept.items() if isinstance(v, float)}
    with recording("train", run_dir / "run.json", facts) as record:
        cache_dir = cache_dir or cache_folder()
        cache = cached_transitions(version, TRAIN_SPLIT, cache_dir)
        require_rewards(cache, f"split {TRAIN_SPLIT!r} of {version.path}")
        sampler = TransitionSampler(
            cache,
            batch_size=config.batch_size,
            seed=config.seed,
            sampling=config.sampling,
        )
        learner = learner_class(config.learner)(
            learner_config,
            version.spec,
            geometry or world_geometry(config.world),
            num_steps=config.steps,
            seed=config.seed,
        )
        learner.require_trainable(cache)
        held_out = _held_out_cache(version, cache_dir)
        run = _Run(run_dir, config, schedule, learner, cache, sampler, held_out)
        last = run.to_the_end()
        learner.export(run_dir / "policy", _policy_facts(version, config, learner))
        record.results.update(last, **_policy_identity(run_dir / "policy"))
    return last


@dataclasses.dataclass
class _Run:
    run_dir: Path
    config: TrainConfig
    schedule: Schedule
    learner: Learner
    cache: TransitionCache
    sampler: TransitionSampler
    held_out: TransitionCache | None

    def to_the_end(self) -> dict[str, float]:
        """Takes the steps that remain; returns the last metrics."""
        checkpoints = RunCheckpoints(
            self.run_dir / "checkpoints", self.learner, self.sampler
        )
        checkpoints.restore_latest()
        first = self.sampler.position
        with MetricsWriter(self.run_dir, first) as metrics, StopRequest() as stop:
            for step, scalars in self._steps():
                if scalars:
                    metrics.write(step, scalars)
                done = step == self.config.steps
                # Where a point of the curves was just made, so that a resumed run
                # averages the next point over the same steps.
                due = scalars and checkpoints.age > self.schedule.checkpoint_seconds
                if done or stop or due:
                    checkpoints.save(step)
                if stop and not done:
                    raise KeyboardInterrupt(
                        f"stopped after step {step} of {self.config.steps}; start the "
                        f"same command again to go on with {self.run_dir}"
                    )
            return metrics.latest

    def _steps(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Trains step by step, yielding what there is to log, often nothing."""
        collected: dict[str, list[float]] = {}
        first, total = self.sampler.position, self.config.steps
        began = time.monotonic()
        with progress("Training", total, first) as bar:
            for batch in self._batches(total - first):
                found = self.learner.train_on(batch)
                self.sampler.advance()
                step = self.sampler.position
                for name, value in found.items():
                    collected.setdefault(f"train/{name}", []).append(float(value))
                means = {name: sum(v) / len(v) for name, v in collected.items()}
                bar.update(step, f"loss {means['train/loss']:.3f}")
                scalars = {}
                if step % self.schedule.log_steps == 0 or step == total:
                    scalars = means
                    rate = (step - first) / (time.monotonic() - began)
                    scalars["train/steps_per_second"] = rate
                    collected.clear()
                if step in self._evaluation_steps() and self.held_out:
                    scalars.update(
                        held_out_metrics(
                            self.learner, self.held_out, seed=self.config.seed
                        )
                    )
                yield step, scalars

    def _batches(self, count: int) -> tf.data.Dataset:
        return transition_dataset(
            self.cache,
            self.sampler,
            num_batches=count,
            n=self.learner.n_step,
            gamma=self.learner.discount,
        )

    def _evaluation_steps(self) -> set[int]:
        times = self.schedule.evaluations
        return {round(self.config.steps * part / times) for part in range(1, times + 1)}


def _finished(run_dir: Path) -> bool:
    record, policy = run_dir / "run.json", run_dir / "policy" / "policy.json"
    return record.exists() and policy.exists() and RunRecord.read(record).finished


def _facts(
    version: Version, config: TrainConfig, learner_config: Any
) -> dict[str, Any]:
    return {
        **dataclasses.asdict(config),
        "settings": dataclasses.asdict(learner_config),
        "dataset": {
            "name": version.name,
            "version": version.version,
            "digest": version.digest,
        },
        "spec_digest": version.spec.digest(),
    }


def _policy_facts(
    version: Version, config: TrainConfig, learner: Learner
) -> dict[str, Any]:
    return {
        "policy_id": f"{config.learner}-{learner.targets}",
        "world": config.world,
        "spec_digest": version.spec.digest(),
        "dataset_name": version.name,
        "dataset_version": version.version,
        "dataset_digest": version.digest,
        "steps": config.steps,
        "seed": config.seed,
    }


def _policy_identity(folder: Path) -> dict[str, str]:
    """Returns what says which policy this is and which data made it."""
    facts = json.loads((folder / "policy.json").read_text())
    names = ("policy_id", "policy_version", "dataset_digest")
    return {name: facts[name] for name in names}


def _held_out_cache(version: Version, cache_dir: Path) -> TransitionCache | None:
    there = split_names(version)
    for split in HELD_OUT_SPLITS:
        if split in there:
            return cached_transitions(version, split, cache_dir)
    return None
