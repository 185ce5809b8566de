"""What TFDS reads of a version: dataset_info.json and features.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow_datasets as tfds

from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.tfds_features import features_dict
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.write import ShardUnit

_FORMATS = {
    "tfrecord": tfds.core.FileFormat.TFRECORD,
    "array_record": tfds.core.FileFormat.ARRAY_RECORD,
}


def write_dataset_info(
    folder: Path, recipe: Recipe, spec: EpisodeSpec, units: Sequence[ShardUnit]
) -> None:
    """Writes the two files that let `tfds.builder_from_directory` read a version."""
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=recipe.name,
        version=tfds.core.Version(recipe.version),
        data_dir=str(folder),
        module_name="",
        config_name=recipe.config or None,
    )
    info = tfds.core.DatasetInfo(
        builder=identity, description=recipe.description, features=features_dict(spec)
    )
    file_format = recipe.plan.file_format
    info.set_file_format(_FORMATS[file_format])
    template = tfds.core.ShardedFileTemplate(
        dataset_name=recipe.name, data_dir=folder, filetype_suffix=file_format
    )
    splits: dict[str, list[ShardUnit]] = {}
    for unit in units:
        splits.setdefault(unit.split, []).append(unit)
    info.set_splits(
        tfds.core.splits.SplitDict(
            [
                tfds.core.SplitInfo(
                    name=split,
                    shard_lengths=[unit.count for unit in shards],
                    num_bytes=sum(u.file.stat().st_size for u in shards),
                    filename_template=template,
                )
                for split, shards in sorted(splits.items())
            ]
        )
    )
    info.write_to_directory(folder)
