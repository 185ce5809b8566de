"""Episodes made of those of grasping: long ones with large frames, and ones of noise.

Long ones have fifty steps of 256×256 pixels, as robots record them: real frames,
enlarged, with the noise of a camera's sensor, without which enlarged renders would pack
far better than pictures do. Those of the trial have ten steps of 64×64 random pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
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

# Grey levels, of a good camera in a lit room.
_SENSOR_NOISE = 2.0
_OTHERS = ("gripper_planar_pose", "gripper_height", "gripper_opening")


@dataclasses.dataclass(frozen=True)
class Made:
    """A kind of episodes.

    Attributes:
      name: Of their folders.
      episodes: How many are measured.
      handful: How many tell what start-up takes, and are in one log.
      steps: Of an episode.
      side: Of a frame, in pixels.
      frame: Makes a frame of one of grasping, uint8 [side, side, 3].
    """

    name: str
    episodes: int
    handful: int
    steps: int
    side: int
    frame: Callable[[np.ndarray, np.random.Generator], np.ndarray]


def made_logs(inputs: Inputs, made: Made, count: int) -> Path:
    """Returns a folder of raw logs of so many episodes, `made.handful` in each."""
    folder = inputs.work / f"{made.name}_{count}" / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    first = sorted(inputs.logs.glob("*.mcap"))[0]
    spec = _resized(RawLogReader(first).spec, made.side)
    episodes = _episodes(inputs.logs, spec, made)
    for start in range(0, count, made.handful):
        path = folder / f"{start:08d}.mcap"
        write_log(path, spec, list(islice(episodes, made.handful)))
    return folder


def _resized(spec: EpisodeSpec, side: int) -> EpisodeSpec:
    features = tuple(
        dataclasses.replace(f, shape=(side, side, 3)) if f.is_image else f
        for f in spec.features
    )
    return dataclasses.replace(spec, features=features)


def _episodes(logs: Path, spec: EpisodeSpec, made: Made) -> Iterator[Episode]:
    """Yields episodes of the steps of several, one after the other."""
    steps = _steps(logs, made)
    while True:
        taken = list(islice(steps, made.steps))
        recorder = StepRecorder(spec)
        recorder.first(taken[0][1])
        for number, (_, observation) in enumerate(taken[1:], start=1):
            action = taken[number - 1][0].array("action")[0]
            recorder.step(
                action,
                0.0,
                observation,
                terminated=number == made.steps - 1,
                truncated=False,
                commanded_action=action,
            )
        metadata = taken[0][0].metadata
        outcome = Outcome(Success.NO, 0.0, metadata.outcome.label_source)
        yield recorder.finish(dataclasses.replace(metadata, outcome=outcome))


def _steps(logs: Path, made: Made) -> Iterator[tuple[Episode, dict[str, np.ndarray]]]:
    """Yields every step's episode and observation, its frame another."""
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
            observation["image"] = made.frame(frame, rng)
            yield episode, observation


def _as_of_a_camera(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = (_SIDE, _SIDE)
    pixels = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))
    noisy = pixels + rng.normal(0, _SENSOR_NOISE, pixels.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _noise(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, frame.shape, dtype=np.uint8)


_SIDE = 256
LONG = Made("long", 50, 10, steps=50, side=_SIDE, frame=_as_of_a_camera)
TRIAL = Made("trial", 1000, 50, steps=10, side=64, frame=_noise)
