"""Statistics of features that merge: one summary an episode, added up shard by shard.

A summary is a few numbers for each entry of each feature, kept beside the episode, so
that a derived version's statistics are merged from its parents' and nothing is decoded.
Moments merge exactly (Chan, Golub, LeVeque 1979, eq. 2.1). Quantiles come from
t-digests (Dunning and Ertl 2019, arXiv 1902.04023) of Apache DataSketches: KLL sketches
compact by coin tosses that the library does not let be seeded, and a version's bytes
must not depend on luck.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import datasketches
import numpy as np

from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages, decode_image
from thresher.episodes.spec import EpisodeSpec, FeatureSpec

# Episodes of up to about twenty steps are kept exactly; longer ones to about 1 %.
_EPISODE_COMPRESSION = 20
_MERGED_COMPRESSION = 200
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
# Wider features (lidar scans, embeddings) keep moments only: a sketch for every beam
# would outweigh the data.
MAX_SKETCHED_WIDTH = 64
# Pixels of the sampled frame that its sketch sees, on a grid: a side of eight.
_SKETCHED_SIDE = 8
_LENGTH = struct.Struct("<I")


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

    @classmethod
    def of_bytes(cls, values: np.ndarray) -> Moments:
        """Returns the moments of uint8 [N, D], exactly, by counting each value."""
        counts = np.stack([np.bincount(v, minlength=256) for v in values.T])
        levels = np.arange(256)
        total, squares = counts @ levels, counts @ levels**2
        mean = total / len(values)
        seen = counts > 0
        return cls(
            len(values),
            mean,
            squares - total * mean,
            seen.argmax(axis=1).astype(np.float64),
            (255 - seen[:, ::-1].argmax(axis=1)).astype(np.float64),
        )

    def entries(self, start: int, stop: int) -> Moments:
        """Returns the moments of some of the entries."""
        columns = (self.mean, self.squares, self.minimum, self.maximum)
        return Moments(self.count, *(column[start:stop] for column in columns))

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


@dataclasses.dataclass(frozen=True)
class FeatureSummary:
    """What is known of one feature's values.

    Attributes:
      moments: Of every entry.
      sketches: A t-digest for every entry; empty for wide features.
    """

    moments: Moments
    sketches: tuple[Any, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers: moments, standard deviation, quantiles by entry."""
        moments = self.moments
        quantiles = {
            f"q{quantile * 100:g}": [s.get_quantile(quantile) for s in self.sketches]
            for quantile in (QUANTILES if self.sketches else ())
        }
        return {
            "count": moments.count,
            "mean": moments.mean.tolist(),
            "std": np.sqrt(moments.squares / moments.count).tolist(),
            "min": moments.minimum.tolist(),
            "max": moments.maximum.tolist(),
            "squares": moments.squares.tolist(),
            "quantiles": quantiles,
        }


Summary = Mapping[str, FeatureSummary]


def summarised_features(spec: EpisodeSpec) -> list[FeatureSpec]:
    """Returns the features that have statistics: numbers and images, by name."""
    features = (f for f in spec.all_features if f.dtype not in ("bool", "str"))
    return sorted(features, key=lambda feature: feature.name)


def summarise(episode: Episode, spec: EpisodeSpec) -> dict[str, FeatureSummary]:
    """Returns the summary of every numeric feature of an episode.

    Actions, rewards and discounts of the last step mean nothing and do not count;
    images count per channel, by their first frame.
    """
    features = summarised_features(spec)
    found = {f.name: _image_summary(episode, f) for f in features if f.is_image}
    numbers = [feature for feature in features if not feature.is_image]
    seen = [feature for feature in numbers if feature.name.startswith("observation/")]
    done = [feature for feature in numbers if feature not in seen]
    actions = max(1, episode.num_transitions)
    for group, steps in ((seen, episode.num_steps), (done, actions)):
        found.update(_number_summaries(episode, group, steps))
    return found


def _number_summaries(
    episode: Episode, features: Sequence[FeatureSpec], steps: int
) -> Iterator[tuple[str, FeatureSummary]]:
    """Yields summaries of features by name; features of one size are worked as one."""
    by_rows: dict[int, list[FeatureSpec]] = {}
    for feature in features:
        rows = steps * math.prod(feature.shape[:-1])
        by_rows.setdefault(rows, []).append(feature)
    for rows, group in by_rows.items():
        blocks = [
            episode.array(feature.name)[:steps].reshape(rows, entries_of(feature))
            for feature in group
        ]
        moments = Moments.of(np.concatenate(blocks, axis=1, dtype=np.float64))
        start = 0
        for feature, block in zip(group, blocks):
            own = moments.entries(start, start + entries_of(feature))
            start += entries_of(feature)
            wide = entries_of(feature) > MAX_SKETCHED_WIDTH
            yield feature.name, FeatureSummary(own, () if wide else _sketches(block))


def entries_of(feature: FeatureSpec) -> int:
    """Returns how many entries of a feature have statistics of their own."""
    return feature.shape[-1] if feature.shape else 1


def _image_summary(episode: Episode, feature: FeatureSpec) -> FeatureSummary:
    images = episode.steps[feature.name]
    assert isinstance(images, EncodedImages)
    frame = decode_image(images.frames[0])
    rows, columns = (max(1, side // _SKETCHED_SIDE) for side in frame.shape[:2])
    grid = frame[rows // 2 :: rows, columns // 2 :: columns]
    channels = frame.shape[-1]
    moments = Moments.of_bytes(frame.reshape(-1, channels))
    return FeatureSummary(moments, _sketches(grid.reshape(-1, channels)))


def _sketches(values: np.ndarray) -> tuple[Any, ...]:
    # A copy: the library takes no array that it could not write to.
    columns = np.array(values.T, dtype=np.float32, order="C")
    sketches = []
    for column in columns:
        sketch = datasketches.tdigest_float(_EPISODE_COMPRESSION)
        sketch.update(column)
        sketches.append(sketch)
    return tuple(sketches)


def pack(summary: Summary) -> bytes:
    """Returns a summary as bytes, features in the order of their names."""
    parts = []
    for _, feature in sorted(summary.items()):
        moments = feature.moments
        block = np.concatenate(
            [moments.mean, moments.squares, moments.minimum, moments.maximum]
        )
        parts += [
            _LENGTH.pack(moments.count),
            _LENGTH.pack(len(moments.mean)),
            block.astype("<f8").tobytes(),
            _LENGTH.pack(len(feature.sketches)),
        ]
        for sketch in feature.sketches:
            data = sketch.serialize()
            parts += [_LENGTH.pack(len(data)), data]
    return b"".join(parts)


def unpack(data: bytes, names: Sequence[str]) -> dict[str, FeatureSummary]:
    """Reads what `pack` returned.

    Args:
      data: The bytes.
      names: The features that were summarised.

    Raises:
      ValueError: The bytes are of other features.
    """
    reader = _Reader(data)
    found = {name: reader.feature() for name in sorted(names)}
    if reader.position != len(data):
        raise ValueError("a summary of other features than the spec has")
    return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def feature(self) -> FeatureSummary:
        count, width = self._number(), self._number()
        block = np.frombuffer(self._take(width * 32), dtype="<f8").reshape(4, width)
        sketches = tuple(
            datasketches.tdigest_float.deserialize(self._take(self._number()))
            for _ in range(self._number())
        )
        return FeatureSummary(Moments(count, *block), sketches)

    def _number(self) -> int:
        return int(_LENGTH.unpack(self._take(4))[0])

    def _take(self, count: int) -> bytes:
        taken = self._data[self.position : self.position + count]
        if len(taken) != count:
            raise ValueError("a summary that is cut off")
        self.position += count
        return taken


class SummaryMerger:
    """Adds summaries of the same features up, in the order in which they come.

    All entries of all features are added as one array: features are many and narrow.
    """

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._widths: list[int] = []
        self._counts = np.zeros(0)
        self._flat: tuple[np.ndarray, ...] = ()
        self._sketches: dict[str, tuple[Any, ...]] = {}

    def add(self, summary: Summary) -> None:
        """Adds one.

        Raises:
          ValueError: It is of other features than the ones before.
        """
        if not self._names:
            self._start(summary)
        elif summary.keys() != self._sketches.keys():
            raise ValueError(
                f"a summary of {sorted(summary)}, not of {sorted(self._names)}"
            )
        else:
            self._add_moments(summary)
        for name, mine in self._sketches.items():
            for sketch, other in zip(mine, summary[name].sketches):
                sketch.merge(other)

    def _start(self, summary: Summary) -> None:
        self._names = tuple(summary)
        self._widths = [len(one.moments.mean) for one in summary.values()]
        self._counts, *columns = self._columns(summary)
        self._flat = tuple(columns)
        self._sketches = {
            name: tuple(
                datasketches.tdigest_float(_MERGED_COMPRESSION) for _ in one.sketches
            )
            for name, one in summary.items()
        }

    def _add_moments(self, summary: Summary) -> None:
        """Adds moments (Chan, Golub, LeVeque 1979, eq. 2.1)."""
        other, mean, squares, minimum, maximum = self._columns(summary)
        my_mean, my_squares, my_minimum, my_maximum = self._flat
        count = self._counts + other
        delta = mean - my_mean
        self._flat = (
            my_mean + delta * other / count,
            my_squares + squares + delta**2 * self._counts * other / count,
            np.minimum(my_minimum, minimum),
            np.maximum(my_maximum, maximum),
        )
        self._counts = count

    def _columns(self, summary: Summary) -> list[np.ndarray]:
        """Returns count, mean, squares, minimum, maximum of every entry, [W] each."""
        all_moments = [summary[name].moments for name in self._names]
        counts = np.repeat([float(m.count) for m in all_moments], self._widths)
        names = ("mean", "squares", "minimum", "maximum")
        columns = [
            np.concatenate([getattr(m, name) for m in all_moments]) for name in names
        ]
        return [counts, *columns]

    @property
    def summary(self) -> dict[str, FeatureSummary]:
        """Everything that was added, together; empty before the first."""
        stops = np.cumsum(self._widths).tolist()
        found = {}
        for name, stop, width in zip(self._names, stops, self._widths):
            span = slice(stop - width, stop)
            columns = (column[span] for column in self._flat)
            moments = Moments(int(self._counts[stop - 1]), *columns)
            found[name] = FeatureSummary(moments, self._sketches[name])
        return found


def merge(summaries: Iterable[Summary]) -> dict[str, FeatureSummary]:
    """Returns all summaries together."""
    merger = SummaryMerger()
    for summary in summaries:
        merger.add(summary)
    return merger.summary
