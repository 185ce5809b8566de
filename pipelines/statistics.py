"""Statistics of features that merge: computed shard by shard, added up at the seal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages, decode_image
from thresher.episodes.spec import EpisodeSpec


@dataclasses.dataclass(frozen=True)
class Moments:
    """Count, mean, spread and range along the last axis of a feature.

    Attributes:
      count: Values per entry.
      mean: [D].
      squares: Sum of squared distances from the mean, [D].
      minimum: [D].
      maximum: [D].
    """

    count: int
    mean: np.ndarray
    squares: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Moments:
        """Returns the moments of values [N, D], N at least 1."""
        wide = values.astype(np.float64)
        mean = wide.mean(axis=0)
        squares = ((wide - mean) ** 2).sum(axis=0)
        return cls(len(wide), mean, squares, wide.min(axis=0), wide.max(axis=0))

    def merge(self, other: Moments) -> Moments:
        """Returns the moments of both together (Chan, Golub, LeVeque 1979, eq. 2.1)."""
        count = self.count + other.count
        delta = other.mean - self.mean
        return Moments(
            count,
            self.mean + delta * other.count / count,
            self.squares + other.squares + delta**2 * self.count * other.count / count,
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers, with the standard deviation beside the squares."""
        return {
            "count": self.count,
            "mean": self.mean.tolist(),
            "std": np.sqrt(self.squares / self.count).tolist(),
            "min": self.minimum.tolist(),
            "max": self.maximum.tolist(),
            "squares": self.squares.tolist(),
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Moments:
        """Reads what `to_dict` returned."""
        arrays = (np.array(raw[key]) for key in ("mean", "squares", "min", "max"))
        return cls(raw["count"], *arrays)


def episode_moments(episode: Episode, spec: EpisodeSpec) -> dict[str, Moments]:
    """Returns the moments of every numeric feature of an episode.

    Actions, rewards and discounts of the last step mean nothing and do not count;
    images count per channel, by one frame an episode.
    """
    found = {}
    for feature in spec.all_features:
        column = episode.steps[feature.name]
        if isinstance(column, EncodedImages):
            frame = decode_image(column.frames[0])
            found[feature.name] = Moments.of(frame.reshape(-1, frame.shape[-1]))
        elif feature.dtype not in ("bool", "str"):
            is_observed = feature.name.startswith("observation/")
            values = column if is_observed else column[:-1]
            width = feature.shape[-1] if feature.shape else 1
            found[feature.name] = Moments.of(values.reshape(-1, width))
    return found


def merge_moments(parts: Iterable[Mapping[str, Moments]]) -> dict[str, Moments]:
    """Returns the moments of all parts together, by feature, in the order given."""
    merged: dict[str, Moments] = {}
    for part in parts:
        for name, moments in part.items():
            merged[name] = merged[name].merge(moments) if name in merged else moments
    return merged
