"""Episodes as long and frames as large as robots record, made of those of grasping.

Fifty steps of 256×256 pixels: real frames, enlarged, with the noise of a camera's
sensor, without which enlarged renders would pack far better than pictures do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from thresher.benchmarks.plane_inputs import Inputs, episodes_of, write_log
from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import Outcome, Success
from thresher.episodes.raw_log import RawLogReader
from thresher.episodes.recorder import StepRecorder
from thresher.episodes.spec import EpisodeSpec

EPISODES = 50
HANDFUL = 10
SIDE = 256
_STEPS = 50
# Grey levels, of a good camera in a lit room.
_SENSOR_NOISE = 2.0
_OTHERS = ("gripper_planar_pose", "gripper_height", "gripper_opening")


def long_logs(inputs: Inputs, count: int) -> Path:
    """Returns a folder of raw logs of so many long episodes, `HANDFUL` in each."""
    folder = inputs.work / f"long_{count}" / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    first = sorted(inputs.logs.glob("*.mcap"))[0]
    spec = _enlarged(RawLogReader(first).spec)
    episodes = _long_episodes(inputs.logs, spec)
    for start in range(0, count, HANDFUL):
        path = folder / f"{start:08d}.mcap"
        write_log(path, spec, list(islice(episodes, HANDFUL)))
    return folder


def _enlarged(spec: EpisodeSpec) -> EpisodeSpec:
    features = tuple(
        dataclasses.replace(f, shape=(SIDE, SIDE, 3)) if f.is_image else f
        for f in spec.features
    )
    return dataclasses.replace(spec, features=features)


def _long_episodes(logs: Path, spec: EpisodeSpec) -> Iterator[Episode]:
    """Yields episodes of the steps of several, one after the other."""
    steps = _steps(logs)
    while True:
        taken = list(islice(steps, _STEPS))
        recorder = StepRecorder(spec)
        recorder.first(taken[0][1])
        for number, (_, observation) in enumerate(taken[1:], start=1):
            action = taken[number - 1][0].array("action")[0]
            recorder.step(
                action,
                0.0,
                observation,
                terminated=number == _STEPS - 1,
                truncated=False,
                commanded_action=action,
            )
        metadata = taken[0][0].metadata
        outcome = Outcome(Success.NO, 0.0, metadata.outcome.label_source)
        yield recorder.finish(dataclasses.replace(metadata, outcome=outcome))


def _steps(logs: Path) -> Iterator[tuple[Episode, dict[str, np.ndarray]]]:
    """Yields every step's episode and observation, its frame enlarged."""
    rng = np.random.default_rng(0)
    for episode in episodes_of(logs):
        images = episode.steps["observation/image"]
        assert isinstance(images, EncodedImages)
        for step, frame in enumerate(images.decode()):
            observation = {
                name: episode.array(f"observation/{name}")[step] for name in _OTHERS
            }
            fraction = np.array([step / episode.num_steps], np.float32)
            observation["episode_fraction"] = fraction
            observation["image"] = _as_of_a_camera(frame, rng)
            yield episode, observation


def _as_of_a_camera(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = (SIDE, SIDE)
    pixels = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))
    noisy = pixels + rng.normal(0, _SENSOR_NOISE, pixels.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)
