"""A bandit-like reaching task in pictures: learned in seconds, true in every part."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from thresher.envs.grasping.geometry import Mirror
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
from thresher.offline_rl.transitions.cache import (
    CacheWriter,
    TransitionCache,
    open_cache,
)

IMAGE_SIZE = 16
HALF_WIDTH_M = 0.2
REACH_M = 0.1
NEAR_M = 0.06


@dataclasses.dataclass(frozen=True)
class ToyGeometry:
    """A camera straight above: world x is to the right, y is down, in the image."""

    projection: np.ndarray = dataclasses.field(
        default_factory=lambda: np.array(
            [[2.5, 0, 0, 0.5], [0, 2.5, 0, 0.5], [0, 0, 0, 1.0]]
        )
    )
    action_scale: tuple[float, ...] = (REACH_M, REACH_M, 0.05, 0.5)
    workspace_low: tuple[float, ...] = (-HALF_WIDTH_M, -HALF_WIDTH_M, 0.0)
    workspace_high: tuple[float, ...] = (HALF_WIDTH_M, HALF_WIDTH_M, 0.2)
    floor_height: float = 0.0
    mirror: Mirror = dataclasses.field(
        default_factory=lambda: Mirror(
            observation={"gripper_planar_pose": (-1.0, 1.0, -1.0)},
            action=(-1.0, 1.0, 1.0, -1.0, 1.0),
        )
    )


SPEC = EpisodeSpec(
    name="toy_reaching",
    features=(
        FeatureSpec(
            "observation/image",
            (IMAGE_SIZE, IMAGE_SIZE, 3),
            "uint8",
            "The object from above.",
            encoding="png",
        ),
        FeatureSpec("observation/gripper_planar_pose", (3,), "float32", "x, y, yaw."),
        FeatureSpec("observation/gripper_height", (1,), "float32", "Height."),
        FeatureSpec("observation/gripper_opening", (1,), "float32", "Opening."),
        FeatureSpec("observation/episode_fraction", (1,), "float32", "Time gone."),
        FeatureSpec("action", (5,), "float32", "Motion, close.", minimum=-1, maximum=1),
    ),
    step_seconds=1.0,
)


class ToyWorld:
    """One object; closing within 6 cm of it succeeds; three steps at most."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.place = rng.uniform(-0.15, 0.15, 2)
        self.gripper = np.clip(self.place + rng.uniform(-0.1, 0.1, 2), -0.2, 0.2)
        self._image = _draw(self.place)
        self._steps = 0

    def observation(self) -> dict[str, np.ndarray]:
        return {
            "image": self._image,
            "gripper_planar_pose": np.array([*self.gripper, 0.0], np.float32),
            "gripper_height": np.array([0.1], np.float32),
            "gripper_opening": np.array([0.1], np.float32),
            "episode_fraction": np.array([self._steps / 3], np.float32),
        }

    def step(self, action: np.ndarray) -> tuple[float, bool, bool]:
        """Returns reward, terminated, truncated."""
        self.gripper = np.clip(self.gripper + action[:2] * REACH_M, -0.2, 0.2)
        self._steps += 1
        closed = bool(action[4] > 0)
        near = float(np.linalg.norm(self.gripper - self.place)) < NEAR_M
        return float(closed and near), closed, not closed and self._steps == 3


def toy_episode(number: int, *, seed: int = 0) -> Episode:
    """Returns an episode of random actions."""
    rng = np.random.default_rng([seed, number])
    world, recorder = ToyWorld(rng), StepRecorder(SPEC)
    recorder.first(world.observation())
    ended, total = False, 0.0
    while not ended:
        action = rng.uniform(-1, 1, 5).astype(np.float32)
        reward, terminated, truncated = world.step(action)
        recorder.step(
            action,
            reward,
            world.observation(),
            terminated=terminated,
            truncated=truncated,
        )
        ended, total = terminated or truncated, total + reward
    return recorder.finish(toy_metadata(number, total))


def toy_metadata(number: int, total: float) -> EpisodeMetadata:
    """Returns metadata of an episode that collected `total` reward."""
    success = Success.YES if total > 0 else Success.NO
    return EpisodeMetadata(
        source_id=f"toy/{number:06d}",
        task="reach",
        robot="toy",
        scene_id=str(number),
        object_ids=("square",),
        language="",
        start_time_ns=0,
        environment={},
        outcome=Outcome(success, total, "toy"),
        behaviour=Behaviour(BehaviourKind.RANDOM, "random", "1"),
    )


def toy_cache(path: Path, count: int, *, seed: int = 0) -> TransitionCache:
    """Writes and opens a cache of `count` episodes."""
    episodes = [toy_episode(number, seed=seed) for number in range(count)]
    return cache_of(path, episodes)


def cache_of(path: Path, episodes: list[Episode]) -> TransitionCache:
    """Writes and opens a cache of the given episodes."""
    steps = sum(episode.num_steps for episode in episodes)
    with CacheWriter(path, SPEC, num_steps=steps, num_episodes=len(episodes)) as writer:
        for episode in episodes:
            writer.add_episode(episode)
    return open_cache(path)


def success_rate(act, count: int) -> float:
    """Returns how often a policy succeeds with its first action that closes."""
    worlds = [ToyWorld(np.random.default_rng([99, n])) for n in range(count)]
    wins, running = 0.0, list(worlds)
    for step in range(3):
        seen = [world.observation() for world in running]
        batch = {name: np.stack([o[name] for o in seen]) for name in seen[0]}
        outcomes = [w.step(a) for w, a in zip(running, act(batch, (1, step)))]
        wins += sum(reward for reward, _, _ in outcomes)
        running = [w for w, o in zip(running, outcomes) if not (o[1] or o[2])]
        if not running:
            break
    return wins / count


def _draw(place: np.ndarray) -> np.ndarray:
    image = np.full((IMAGE_SIZE, IMAGE_SIZE, 3), 60, np.uint8)
    column, row = ((place + HALF_WIDTH_M) / (2 * HALF_WIDTH_M) * IMAGE_SIZE).astype(int)
    image[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = (220, 90, 40)
    return image
