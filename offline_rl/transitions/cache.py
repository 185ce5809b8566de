"""A memory-mapped table of steps: what sampling reads instead of TFRecord."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from thresher.episodes.episode import Episode
from thresher.episodes.files import atomic_write, require_free_space
from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import Success
from thresher.episodes.spec import EpisodeSpec, FeatureSpec

# Raised whenever the files' meaning changes, so that an old cache is never misread.
FORMAT = 2
SUCCESS_CODES = {Success.YES: 1, Success.NO: 0, Success.UNKNOWN: -1}
_STEP_ARRAYS = ("action", "reward", "discount")


@dataclasses.dataclass(frozen=True)
class TransitionCache:
    """All steps of one split, one memory-mapped array a feature.

    Episodes follow each other; an episode's last row is its final observation, whose
    action, reward and discount mean nothing.

    Attributes:
      path: The folder.
      spec: What the arrays mean.
      observation: Observation arrays by short name, [num_steps, …].
      action: [num_steps, A].
      reward: float32 [num_steps].
      discount: Environment discount, float32 [num_steps].
      episode_starts: First row of each episode, and num_steps at the end,
        int64 [num_episodes + 1].
      success: 1 success, 0 failure, -1 unknown, int8 [num_episodes].
      weight: How often to sample each episode, relative to others, [num_episodes].
    """

    path: Path
    spec: EpisodeSpec
    observation: Mapping[str, np.ndarray]
    action: np.ndarray
    reward: np.ndarray
    discount: np.ndarray
    episode_starts: np.ndarray
    success: np.ndarray
    weight: np.ndarray

    @property
    def num_episodes(self) -> int:
        """Episodes in the split."""
        return len(self.success)

    @property
    def num_steps(self) -> int:
        """Rows, final observations included."""
        return int(self.episode_starts[-1])

    @property
    def num_transitions(self) -> int:
        """Rows that hold an action."""
        return self.num_steps - self.num_episodes

    @property
    def last_rows(self) -> np.ndarray:
        """Row of each episode's final observation, int64 [num_episodes]."""
        return self.episode_starts[1:] - 1

    @property
    def is_last(self) -> np.ndarray:
        """Whether a row is a final observation, bool [num_steps]."""
        flags = np.zeros(self.num_steps, dtype=bool)
        flags[self.last_rows] = True
        return flags

    def episode_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns the episode number of each row, int64 [B]."""
        return np.searchsorted(self.episode_starts, rows, side="right") - 1


class CacheWriter:
    """Writes a cache episode by episode, never holding more than one.

    A context manager; the cache can be opened once it has been left without an
    exception, and only if exactly the announced steps and episodes were added.
    """

    def __init__(
        self, path: Path, spec: EpisodeSpec, *, num_steps: int, num_episodes: int
    ) -> None:
        """Prepares the files.

        Args:
          path: A new folder.
          spec: What the episodes hold.
          num_steps: Rows to come, final observations included.
          num_episodes: Episodes to come.

        Raises:
          UserError: The disk has not enough room.
        """
        features = cached_features(spec)
        require_free_space(path, num_steps * sum(map(_row_bytes, features)))
        path.mkdir(parents=True)
        self._path, self._spec = path, spec
        self._arrays = {
            feature.name: np.lib.format.open_memmap(
                _array_path(path, feature.name),
                mode="w+",
                dtype=feature.dtype,
                shape=(num_steps, *feature.shape),
            )
            for feature in features
        }
        self._num_steps = num_steps
        self._starts = np.zeros(num_episodes + 1, np.int64)
        self._success = np.zeros(num_episodes, np.int8)
        self._weight = np.ones(num_episodes)
        self._episodes = 0

    def add(
        self, columns: Mapping[str, np.ndarray], success: Success, weight: float = 1.0
    ) -> None:
        """Adds an episode.

        Args:
          columns: Every cached feature by slash path, decoded, [N, …].
          success: Its outcome.
          weight: How often to sample it.
        """
        start = int(self._starts[self._episodes])
        stop = start + len(columns["reward"])
        if stop > self._num_steps or self._episodes == len(self._success):
            raise ValueError("more steps or episodes than were announced")
        for name, array in self._arrays.items():
            array[start:stop] = columns[name]
        self._success[self._episodes] = SUCCESS_CODES[success]
        self._weight[self._episodes] = weight
        self._episodes += 1
        self._starts[self._episodes] = stop

    def add_episode(self, episode: Episode) -> None:
        """Adds an episode object, decoding its images."""
        columns = {name: _decoded(episode.steps[name]) for name in self._arrays}
        self.add(columns, episode.metadata.outcome.success)

    def __enter__(self) -> CacheWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._finish()

    def _finish(self) -> None:
        if self._starts[-1] != self._num_steps:
            raise ValueError(
                f"{self._episodes} episodes of {self._starts[self._episodes]} steps "
                f"were added where {len(self._success)} of {self._num_steps} were "
                "announced"
            )
        for array in self._arrays.values():
            array.flush()
        np.save(self._path / "episode_starts.npy", self._starts)
        np.save(self._path / "success.npy", self._success)
        np.save(self._path / "weight.npy", self._weight)
        # Written last: a folder without it is unfinished.
        description: dict[str, Any] = {
            "format": FORMAT,
            "spec": json.loads(self._spec.to_json()),
        }
        atomic_write(self._path / "cache.json", json.dumps(description, indent=1))


def open_cache(path: Path) -> TransitionCache:
    """Opens a finished cache without reading its arrays.

    Raises:
      FileNotFoundError: There is none, or it was not finished.
    """
    description = json.loads((path / "cache.json").read_text())
    if description["format"] != FORMAT:
        raise FileNotFoundError(f"{path} has another format: {description['format']}")
    spec = EpisodeSpec.from_json(json.dumps(description["spec"]))
    arrays = {
        feature.name: np.load(_array_path(path, feature.name), mmap_mode="r")
        for feature in cached_features(spec)
    }
    return TransitionCache(
        path=path,
        spec=spec,
        observation={
            name.split("/", 1)[1]: array
            for name, array in arrays.items()
            if name.startswith("observation/")
        },
        **{name: arrays[name] for name in _STEP_ARRAYS},
        episode_starts=np.load(path / "episode_starts.npy"),
        success=np.load(path / "success.npy"),
        weight=np.load(path / "weight.npy"),
    )


def cached_features(spec: EpisodeSpec) -> tuple[FeatureSpec, ...]:
    """Returns the features that learners see: numeric observations and `_STEP_ARRAYS`.

    Texts stay in the dataset: no learner of ours reads them.
    """
    observations = [f for f in spec.observation.values() if f.dtype != "str"]
    return (*observations, *(spec[name] for name in _STEP_ARRAYS))


def _array_path(path: Path, name: str) -> Path:
    return path / f"{name.replace('/', '.')}.npy"


def _row_bytes(feature: FeatureSpec) -> int:
    return int(np.prod(feature.shape, dtype=int)) * np.dtype(feature.dtype).itemsize


def _decoded(column: np.ndarray | EncodedImages) -> np.ndarray:
    return column.decode() if isinstance(column, EncodedImages) else column
