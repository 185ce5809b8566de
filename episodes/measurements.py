"""What an episode looks like from outside: measured once, judged as often as one likes.

Measurements are columns of the index, so a threshold can be moved without reading a
log again; `pipelines/checks.py` holds the thresholds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Iterator
from typing import Optional

import numpy as np
import pyarrow as pa
from PIL import Image

from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages
from thresher.episodes.spec import EpisodeSpec, FeatureSpec

# Frames are decoded at the first, the middle and the last step: what is wrong with a
# camera for a whole episode shows there, at a cost that does not grow with length.
_SAMPLED = 3
_HASH_SIDE = 8


@dataclasses.dataclass(frozen=True)
class Measurements:
    """Columns of the index; None where an episode has nothing to measure.

    Attributes:
      darkest_frame: Lowest mean brightness of the sampled frames of all cameras, in
        [0, 255].
      brightest_frame: Highest such mean.
      frozen_frames: Most frames in a row of one camera that are the same, 1 for none.
      stuck_joints: Names of entries of an observation that never move while others
        of the same feature do.
      saturated_share: Share of the action's entries that stand at a bound.
      largest_gap: Longest time from one step to the next, in steps (s / step_seconds).
      jitter: Standard deviation of those times over their mean.
      near_digest: The same for episodes with the same actions whose first and last
        frames look the same; empty without frames.
    """

    darkest_frame: Optional[float]
    brightest_frame: Optional[float]
    frozen_frames: Optional[int]
    stuck_joints: tuple[str, ...]
    saturated_share: Optional[float]
    largest_gap: Optional[float]
    jitter: Optional[float]
    near_digest: str


MEASUREMENT_FIELDS = (
    pa.field("darkest_frame", pa.float64()),
    pa.field("brightest_frame", pa.float64()),
    pa.field("frozen_frames", pa.int32()),
    pa.field("stuck_joints", pa.list_(pa.string())),
    pa.field("saturated_share", pa.float64()),
    pa.field("largest_gap", pa.float64()),
    pa.field("jitter", pa.float64()),
    pa.field("near_digest", pa.string()),
)


def measure(episode: Episode, spec: EpisodeSpec) -> Measurements:
    """Measures an episode that keeps the contract.

    Raises:
      ValueError: A sampled frame has pixels that cannot be decoded.
    """
    cameras = {f.name: episode.steps[f.name] for f in spec.features if f.is_image}
    means: list[float] = []
    looks = hashlib.sha256()
    frozen = 1 if cameras else None
    for name, images in sorted(cameras.items()):
        assert isinstance(images, EncodedImages)
        for step in _sampled_steps(len(images)):
            grey = _grey(images.frames[step], name, step)
            means.append(float(np.asarray(grey).mean()))
            if step in (0, len(images) - 1):
                looks.update(_difference_hash(grey))
        frozen = max(frozen or 1, _longest_run(images.frames))
    gap, jitter = _timing(episode, spec)
    return Measurements(
        darkest_frame=min(means, default=None),
        brightest_frame=max(means, default=None),
        frozen_frames=frozen,
        stuck_joints=tuple(_stuck(episode, spec)),
        saturated_share=_saturated_share(episode, spec),
        largest_gap=gap,
        jitter=jitter,
        near_digest=_near_digest(looks, episode, spec) if cameras else "",
    )


def _sampled_steps(count: int) -> list[int]:
    return sorted({round(k * (count - 1) / (_SAMPLED - 1)) for k in range(_SAMPLED)})


def _grey(frame: bytes, name: str, step: int) -> Image.Image:
    try:
        with Image.open(io.BytesIO(frame)) as image:
            return image.convert("L")
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{name} at step {step} cannot be decoded: {error}") from error


def _difference_hash(grey: Image.Image) -> bytes:
    """Returns whether brightness rises from left to right, on an 8×8 grid: 8 bytes."""
    small = np.asarray(grey.resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX))
    return np.packbits(small[:, 1:] > small[:, :-1]).tobytes()


def _near_digest(looks: hashlib._Hash, episode: Episode, spec: EpisodeSpec) -> str:
    for feature in _actions(spec):
        looks.update(np.ascontiguousarray(episode.array(feature.name)).tobytes())
    return looks.hexdigest()[:32]


def _longest_run(frames: tuple[bytes, ...]) -> int:
    longest = run = 1
    for before, after in zip(frames, frames[1:]):
        run = run + 1 if before == after else 1
        longest = max(longest, run)
    return longest


def _stuck(episode: Episode, spec: EpisodeSpec) -> Iterator[str]:
    for feature in spec.observation.values():
        if feature.dtype not in ("float32", "float64") or len(feature.shape) != 1:
            continue
        column = episode.array(feature.name)
        moves = (column != column[0]).any(axis=0)
        # One entry that rests is nothing; one that rests while most others move is.
        if moves.sum() * 2 > len(moves):
            for entry in np.flatnonzero(~moves):
                label = feature.labels[entry] if feature.labels else str(entry)
                yield f"{feature.name}[{label}]"


def _saturated_share(episode: Episode, spec: EpisodeSpec) -> Optional[float]:
    at_bound = total = 0
    for feature in _actions(spec):
        if feature.minimum is None or feature.maximum is None:
            continue
        taken = episode.array(feature.name)[:-1]
        low, high = (np.asarray(b, taken.dtype) for b in _bounds(feature))
        at_bound += int(((taken <= low) | (taken >= high)).sum())
        total += taken.size
    return at_bound / total if total else None


def _bounds(feature: FeatureSpec) -> tuple[object, object]:
    return feature.minimum, feature.maximum


def _actions(spec: EpisodeSpec) -> list[FeatureSpec]:
    return [
        feature
        for feature in spec.features
        if (feature.name == "action" or feature.name.startswith("action/"))
        and feature.dtype in ("float32", "float64")
    ]


def _timing(
    episode: Episode, spec: EpisodeSpec
) -> tuple[Optional[float], Optional[float]]:
    name = next((n for n in ("timestamp", "observation/timestamp") if n in spec), None)
    if name is None or episode.num_steps < 2:
        return None, None
    times = episode.array(name).astype(np.float64).reshape(episode.num_steps, -1)[:, 0]
    intervals = np.diff(times)
    mean = float(intervals.mean())
    jitter = float(intervals.std() / mean) if mean > 0 else None
    return float(intervals.max() / spec.step_seconds), jitter
