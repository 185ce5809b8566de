"""What the dataset plane is measured on: raw logs, their copies, the peers' files.

Everything is made once in the work folder and taken up again if it is there.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from thresher.benchmarks.plane_runs import THRESHER
from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages
from thresher.episodes.raw_log import RawLogReader, RawLogWriter
from thresher.episodes.spec import EpisodeSpec

EPISODES = 5000
_SCENES = 2000
COPIES = 10
# Every so many-th episode is for validation, in the peers' folders.
_VAL_EVERY = 20
_RECIPE = """name: grasping
version: 1.0.0
description: Grasping attempts, for measurements.
split:
  group: scene_id
  shares: {{train: 0.95, val: 0.05}}
rebalance: {rebalance}
"""


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Where everything is.

    Attributes:
      work: Folder of the measurements.
      logs: Raw logs of `EPISODES` grasping episodes, 50 in each.
    """

    work: Path
    logs: Path

    @property
    def handful(self) -> Path:
        """One of the logs, in a folder of its own: what start-up is measured on."""
        folder = self.work / "handful" / "logs"
        if not folder.exists():
            folder.mkdir(parents=True)
            log = sorted(self.logs.glob("*.mcap"))[0]
            shutil.copyfile(log, folder / log.name)
        return folder

    @property
    def many(self) -> Path:
        """The logs `COPIES` times, each copy with other starts and so other ids."""
        folder = self.work / "many"
        folder.mkdir(exist_ok=True)
        logs = sorted(self.logs.glob("*.mcap"))
        jobs = [(log, number) for number in range(COPIES) for log in logs]
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(partial(_copy_altered, folder), jobs, chunksize=10))
        return folder

    def recipe(self, rebalanced: bool = False) -> Path:
        """Returns a recipe that writes every episode, or half successes."""
        path = self.work / f"{'balanced' if rebalanced else 'all'}.yaml"
        target = "{target: 0.5, strata: [task]}" if rebalanced else "off"
        path.write_text(_RECIPE.format(rebalance=target))
        return path

    def files(self, logs: Path) -> Path:
        """Returns a folder of the peers' files of some logs: one .npz an episode."""
        folder = self.work / f"files_{logs.parent.name}_{logs.name}"
        if not folder.exists():
            scratch = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(scratch, ignore_errors=True)
            write_files(logs, scratch)
            scratch.rename(folder)
        return folder


def made_inputs(work: Path, logs: Path | None) -> Inputs:
    """Returns the inputs; the episodes are collected where none are given."""
    work.mkdir(parents=True, exist_ok=True)
    if logs is None:
        logs = work / "collected" / "logs"
        words = f"collect --episodes {EPISODES} --scenes {_SCENES} --seed 1 --out"
        subprocess.run([THRESHER, *words.split(), str(logs.parent)], check=True)
    return Inputs(work, logs)


def episodes_of(logs: Path) -> Iterator[Episode]:
    """Yields every episode of a folder of logs, in order."""
    for log in sorted(logs.glob("*.mcap")):
        for _, episode in RawLogReader(log).episodes():
            yield episode


def write_files(logs: Path, folder: Path) -> None:
    """Writes train/episode_*.npz and val/episode_*.npz, frames decoded."""
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
    for number, episode in enumerate(episodes_of(logs)):
        split = "train" if number % _VAL_EVERY else "val"
        np.savez(folder / split / f"episode_{number:06d}.npz", **_arrays(episode))


def _arrays(episode: Episode) -> dict[str, np.ndarray]:
    return {
        name.split("/")[-1]: column.decode()
        if isinstance(column, EncodedImages)
        else column
        for name, column in episode.steps.items()
    }


def _copy_altered(folder: Path, job: tuple[Path, int]) -> None:
    log, number = job
    reader = RawLogReader(log)
    episodes = (_altered(number, episode) for _, episode in reader.episodes())
    write_log(folder / f"{number}_{log.name}", reader.spec, episodes)


def write_log(path: Path, spec: EpisodeSpec, episodes: Iterable[Episode]) -> None:
    """Writes a raw log, whole or not at all, unless it is there."""
    if path.exists():
        return
    scratch = path.with_suffix(".part")
    scratch.unlink(missing_ok=True)
    with RawLogWriter(scratch, spec) as writer:
        for episode in episodes:
            writer.write(episode)
    scratch.rename(path)


def _altered(number: int, episode: Episode) -> Episode:
    """Moves the start by micrometres and the first action by less than a thousandth.

    The action too: copies that differ in nothing else would be near duplicates.
    """
    pose = episode.array("observation/gripper_planar_pose").copy()
    action = episode.array("action").copy()
    pose[0, 0] += 1e-6 * number
    action[0] *= 1 - 1e-5 * number
    steps = {
        **episode.steps,
        "observation/gripper_planar_pose": pose,
        "action": action,
    }
    source = f"{episode.metadata.source_id}/copy{number}"
    metadata = dataclasses.replace(episode.metadata, source_id=source)
    return Episode(steps, metadata)
