"""A sealed version of toy episodes on disk, written with TFDS alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow_datasets as tfds

from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages
from thresher.episodes.index import write_index
from thresher.tests.offline_rl.toy_reaching import SPEC, toy_episode


def toy_version(folder: Path, counts: dict[str, int]) -> Path:
    """Writes <folder>/toy_reaching/1.0.0 with so many episodes per split."""
    numbers = iter(range(sum(counts.values())))
    splits = {
        split: [toy_episode(next(numbers)) for _ in range(count)]
        for split, count in counts.items()
    }
    return write_version(folder, splits)


def write_version(folder: Path, splits: dict[str, list[Episode]]) -> Path:
    """Writes <folder>/toy_reaching/1.0.0 with the given episodes."""
    path = folder / "toy_reaching" / "1.0.0"
    path.mkdir(parents=True)
    info = tfds.core.DatasetInfo(
        builder=tfds.core.DatasetIdentity(
            name="toy_reaching", version="1.0.0", data_dir=str(path), module_name=""
        ),
        features=_features(),
    )
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=1000)
    writer.initialize_splits(list(splits))
    for split, episodes in splits.items():
        writer.add_examples({split: [_record(episode) for episode in episodes]})
    writer.close_all()
    _seal(path, splits)
    return path


def _seal(path: Path, splits: dict[str, list[Episode]]) -> None:
    rows = [
        {"split": split, "num_steps": episode.num_steps}
        for split, episodes in splits.items()
        for episode in episodes
    ]
    write_index(pa.Table.from_pylist(rows), path / "episodes.parquet")
    (path / "spec.json").write_text(SPEC.to_json())
    (path / "lineage.json").write_text("{}")
    ids = [e.episode_id for episodes in splits.values() for e in episodes]
    (path / "checksums.json").write_text(str(ids))


def _features() -> Any:
    steps: dict[str, Any] = {"observation": {}}
    for feature in SPEC.all_features:
        kind: Any = tfds.features.Tensor(
            shape=feature.shape, dtype=np.dtype(feature.dtype)
        )
        if feature.is_image:
            kind = tfds.features.Image(shape=feature.shape, encoding_format="png")
        _place(steps, feature.name, kind)
    outcome = {"success": tfds.features.Text()}
    return tfds.features.FeaturesDict(
        {
            "steps": tfds.features.Dataset(steps),
            "episode_metadata": {"outcome": outcome},
        }
    )


def _record(episode: Episode) -> dict[str, Any]:
    steps = []
    columns = {
        name: column.decode() if isinstance(column, EncodedImages) else column
        for name, column in episode.steps.items()
    }
    for number in range(episode.num_steps):
        step: dict[str, Any] = {"observation": {}}
        for name, column in columns.items():
            _place(step, name, np.asarray(column[number]))
        steps.append(step)
    success = episode.metadata.outcome.success.value
    return {"steps": steps, "episode_metadata": {"outcome": {"success": success}}}


def _place(tree: dict[str, Any], name: str, value: Any) -> None:
    *parents, last = name.split("/")
    for parent in parents:
        tree = tree[parent]
    tree[last] = value
