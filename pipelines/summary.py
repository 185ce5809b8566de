"""What is known of an episode's values: a few numbers for every entry of a feature.

For quantiles, few values are kept as they are and many as a t-digest (Dunning and Ertl
2019, arXiv 1902.04023) of Apache DataSketches: its KLL sketches compact by coin tosses
that the library does not let be seeded, and a version's bytes must not depend on luck.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import datasketches
import numpy as np

from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages, decode_image
from thresher.episodes.spec import EpisodeSpec, FeatureSpec

# Up to so many values of an entry are smaller than a sketch of them, and exact.
MAX_KEPT_VALUES = 64
# A sketch of more values is good to about 1 %.
_EPISODE_COMPRESSION = 20
# Wider features (lidar scans, embeddings) keep moments only: a sketch for every beam
# would outweigh the data.
MAX_SKETCHED_WIDTH = 64
# Pixels of the sampled frame that its quantiles see, on a grid: a side of eight.
_SAMPLED_SIDE = 8


@dataclasses.dataclass(frozen=True)
class Summary:
    """What is known of the values of some features, in the order of their names.

    Entries of all features stand side by side: features are many and narrow, and so
    they are read and merged as one array.

    Attributes:
      counts: Values of an entry, by feature, int64 [F].
      widths: Entries, by feature, int64 [F].
      moments: Mean, sum of squared distances from it, minimum and maximum of every
        entry, float64 [4, sum of widths].
      values: The values themselves where they are few, by feature, float32 [N, width];
        N is 0 where they are not.
      sketches: Where they are many, by feature, a t-digest for every entry.
    """

    counts: np.ndarray
    widths: np.ndarray
    moments: np.ndarray
    values: tuple[np.ndarray, ...]
    sketches: tuple[tuple[Any, ...], ...]


@dataclasses.dataclass(frozen=True)
class FeatureSummary:
    """One feature of a summary.

    Attributes:
      count: Values of an entry.
      moments: [4, D], as in a summary.
      values: [N, D]; N is 0 where sketches are kept, or nothing is.
      sketches: D of them, or none.
    """

    count: int
    moments: np.ndarray
    values: np.ndarray
    sketches: tuple[Any, ...] = ()

    @classmethod
    def of(cls, count: int, moments: np.ndarray, sample: np.ndarray) -> FeatureSummary:
        """Returns a feature's summary.

        Args:
          count: Values of an entry.
          moments: Of all of them, [4, D].
          sample: Values that stand for all in quantiles, [N, D].
        """
        width = moments.shape[1]
        if len(sample) <= MAX_KEPT_VALUES and width <= MAX_SKETCHED_WIDTH:
            return cls(count, moments, sample.astype(np.float32))
        sketches = new_sketches(width, _EPISODE_COMPRESSION)
        update_sketches(sketches, sample)
        return cls(count, moments, np.zeros((0, width), np.float32), sketches)


def join_features(features: Sequence[FeatureSummary]) -> Summary:
    """Returns features, in the order of their names, as one summary."""
    if not features:
        empty = np.zeros(0, np.int64)
        return Summary(empty, empty, np.zeros((4, 0)), (), ())
    return Summary(
        np.array([one.count for one in features]),
        np.array([one.moments.shape[1] for one in features]),
        np.concatenate([one.moments for one in features], axis=1),
        tuple(one.values for one in features),
        tuple(one.sketches for one in features),
    )


def moments_of(values: np.ndarray) -> np.ndarray:
    """Returns the moments [4, D] of values [N, D], N at least 1."""
    wide = values.astype(np.float64)
    mean = wide.mean(axis=0)
    squares = ((wide - mean) ** 2).sum(axis=0)
    return np.stack([mean, squares, wide.min(axis=0), wide.max(axis=0)])


def moments_of_bytes(values: np.ndarray) -> np.ndarray:
    """Returns the moments of uint8 [N, D], exactly, by counting each value."""
    counts = np.stack([np.bincount(v, minlength=256) for v in values.T])
    levels = np.arange(256)
    total, squares = counts @ levels, counts @ levels**2
    mean = total / len(values)
    seen = counts > 0
    smallest, largest = seen.argmax(axis=1), 255 - seen[:, ::-1].argmax(axis=1)
    return np.stack([mean, squares - total * mean, smallest, largest])


def summarised_features(spec: EpisodeSpec) -> list[FeatureSpec]:
    """Returns the features that have statistics: numbers and images, by name."""
    features = (f for f in spec.all_features if f.dtype not in ("bool", "str"))
    return sorted(features, key=lambda feature: feature.name)


def entries_of(feature: FeatureSpec) -> int:
    """Returns how many entries of a feature have statistics of their own."""
    return feature.shape[-1] if feature.shape else 1


def summarised_widths(spec: EpisodeSpec) -> list[int]:
    """Returns the entries of each of these features."""
    return [entries_of(feature) for feature in summarised_features(spec)]


def summarise(episode: Episode, spec: EpisodeSpec) -> Summary:
    """Returns the summary of every numeric feature of an episode.

    Actions, rewards and discounts of the last step mean nothing and do not count;
    images count per channel, by their first frame.
    """
    features = summarised_features(spec)
    found = {f.name: _image(episode, f) for f in features if f.is_image}
    numbers = [feature for feature in features if not feature.is_image]
    seen = [feature for feature in numbers if feature.name.startswith("observation/")]
    done = [feature for feature in numbers if feature not in seen]
    actions = max(1, episode.num_transitions)
    for group, steps in ((seen, episode.num_steps), (done, actions)):
        found.update(_numbers(episode, group, steps))
    return join_features([found[feature.name] for feature in features])


def _numbers(
    episode: Episode, features: Sequence[FeatureSpec], steps: int
) -> Iterator[tuple[str, FeatureSummary]]:
    """Yields features by name; those of one size are worked as one."""
    by_rows: dict[int, list[FeatureSpec]] = {}
    for feature in features:
        rows = steps * math.prod(feature.shape[:-1])
        by_rows.setdefault(rows, []).append(feature)
    for rows, group in by_rows.items():
        blocks = [
            episode.array(feature.name)[:steps].reshape(rows, entries_of(feature))
            for feature in group
        ]
        moments = moments_of(np.concatenate(blocks, axis=1, dtype=np.float64))
        start = 0
        for feature, block in zip(group, blocks):
            stop = start + entries_of(feature)
            yield feature.name, FeatureSummary.of(rows, moments[:, start:stop], block)
            start = stop


def _image(episode: Episode, feature: FeatureSpec) -> FeatureSummary:
    images = episode.steps[feature.name]
    assert isinstance(images, EncodedImages)
    frame = decode_image(images.frames[0])
    rows, columns = (max(1, side // _SAMPLED_SIDE) for side in frame.shape[:2])
    grid = frame[rows // 2 :: rows, columns // 2 :: columns]
    channels = frame.shape[-1]
    pixels = frame.reshape(-1, channels)
    return FeatureSummary.of(
        len(pixels), moments_of_bytes(pixels), grid.reshape(-1, channels)
    )


def new_sketches(width: int, compression: int) -> tuple[Any, ...]:
    """Returns an empty t-digest for every entry of a feature; none for wide ones."""
    if width > MAX_SKETCHED_WIDTH:
        return ()
    return tuple(datasketches.tdigest_float(compression) for _ in range(width))


def update_sketches(sketches: Sequence[Any], values: np.ndarray) -> None:
    """Adds values [N, D] to D sketches."""
    # A copy: the library takes no array that it could not write to.
    columns = np.array(values.T, dtype=np.float32, order="C")
    for sketch, column in zip(sketches, columns):
        sketch.update(column)
