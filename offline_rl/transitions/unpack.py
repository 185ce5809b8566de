"""Unpacks a sealed version once into a transition cache."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import tensorflow as tf
import tensorflow_datasets as tfds

from thresher.episodes.errors import UserError, unknown_name
from thresher.episodes.files import require_writable
from thresher.episodes.metadata import Success
from thresher.episodes.progress import progress
from thresher.episodes.version import Version
from thresher.offline_rl.transitions.cache import (
    CacheWriter,
    TransitionCache,
    cached_features,
    open_cache,
)


def split_names(version: Version) -> list[str]:
    """Returns the splits that hold episodes."""
    return sorted(name for name in version.index["split"].unique().to_pylist() if name)


def cached_transitions(
    version: Version, split: str, cache_dir: Path
) -> TransitionCache:
    """Returns the transition cache of a version's split, making it if need be.

    The cache is found by the version's digest, is written aside and moved into place
    when whole, and is made by one process while others wait: killing any of them
    harms nothing.

    Args:
      version: A sealed version.
      split: One of its splits.
      cache_dir: Folder of all caches.

    Raises:
      UserError: No such split, or no room.
    """
    known = split_names(version)
    if split not in known:
        raise unknown_name(f"split of {version.path}", split, known)
    folder = cache_dir / "transitions" / version.digest[:32]
    require_writable(folder)
    target = folder / split
    with _lock(folder / f"{split}.lock"):
        if not (target / "cache.json").exists():
            scratch = folder / f"{split}.unfinished"
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.rmtree(target, ignore_errors=True)
            _unpack(version, split, scratch)
            os.replace(scratch, target)
    return open_cache(target)


def require_rewards(cache: TransitionCache, name: str) -> None:
    """Refuses data that no value can be learned from.

    Raises:
      UserError: No reward differs from zero, so that neither outcome nor return says
        what is worth doing; or rewards are not finite.
    """
    lowest, highest = float(np.min(cache.reward)), float(np.max(cache.reward))
    if not np.isfinite([lowest, highest]).all():
        raise UserError(f"{name} has rewards that are not finite: repair the dataset")
    if lowest == 0 and highest == 0:
        unknown = int(np.sum(cache.success == -1))
        raise UserError(
            f"{name} has no reward in any of its {cache.num_episodes} episodes "
            f"({unknown} of unknown outcome): label the episodes and build a version "
            "with rewards"
        )


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    # The system lets go of the lock when its holder dies, however it dies.
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _unpack(version: Version, split: str, path: Path) -> None:
    rows = version.index.filter(pc.equal(version.index["split"], split))
    lengths = rows["num_steps"]
    # Versions of other makers say nothing of weights.
    weights = (
        rows["sampling_weight"].to_pylist()
        if "sampling_weight" in rows.column_names
        else [1.0] * len(lengths)
    )
    writer = CacheWriter(
        path,
        version.spec,
        num_steps=int(pc.sum(lengths).as_py()),
        num_episodes=len(lengths),
    )
    with writer, progress(f"Unpacking {split}", len(lengths)) as bar:
        for (columns, success), weight in zip(_episodes(version, split), weights):
            writer.add(columns, success, weight)
            bar.advance()


def _episodes(
    version: Version, split: str
) -> Iterator[tuple[dict[str, np.ndarray], Success]]:
    # Steps stay the flat columns that the record holds: TFDS's nested dataset of
    # steps costs more per episode than everything else here.
    dataset = tfds.builder_from_directory(version.path).as_dataset(
        split=split,
        decoders={"steps": tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(try_autocache=False, add_tfds_id=False),
    )
    features = cached_features(version.spec)

    def wanted(record: dict[str, Any]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        columns = {}
        for feature in features:
            column: Any = record["steps"]
            for part in feature.name.split("/"):
                column = column[part]
            columns[feature.name] = (
                _decode_images(column, feature.shape) if feature.is_image else column
            )
        return columns, record["episode_metadata"]["outcome"]["success"]

    decoded = dataset.map(wanted, num_parallel_calls=tf.data.AUTOTUNE)
    for columns, success in decoded.prefetch(16).as_numpy_iterator():
        yield columns, Success(success.decode())


def _decode_images(encoded: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    def decode(image: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.io.decode_image(image, channels=shape[-1]), shape)

    return tf.map_fn(decode, encoded, fn_output_signature=tf.uint8)
