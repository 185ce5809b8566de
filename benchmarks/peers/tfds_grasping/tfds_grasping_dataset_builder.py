"""A plain TFDS builder of the grasping episodes, after the RLDS builders people share.

    tfds build --config generator --manual_dir EPISODES

EPISODES holds train/episode_*.npz and val/episode_*.npz: one file an episode, frames
decoded, as teleoperation scripts leave them. Config 'generator' yields examples one by
one; 'beam' maps the files with Beam, as those builders advise for large datasets;
'generator_256' and 'beam_256' do so for larger frames. Nothing of Thresher's is in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds


def parse_episode(path: str) -> tuple[str, dict[str, Any]]:
    """Returns key and example of one file, step by step."""
    with np.load(path) as file:
        episode = {name: file[name] for name in file.files}
    steps = [_step(episode, number) for number in range(len(episode["reward"]))]
    example = {"steps": steps, "episode_metadata": {"file_path": path}}
    return Path(path).name, example


def _step(episode: dict[str, np.ndarray], number: int) -> dict[str, Any]:
    return {
        "observation": {
            "image": episode["image"][number],
            "gripper_planar_pose": episode["gripper_planar_pose"][number],
            "gripper_height": episode["gripper_height"][number],
            "gripper_opening": episode["gripper_opening"][number],
            "episode_fraction": episode["episode_fraction"][number],
        },
        "action": episode["action"][number],
        "commanded_action": episode["commanded_action"][number],
        "reward": episode["reward"][number],
        "discount": episode["discount"][number],
        "is_first": episode["is_first"][number],
        "is_last": episode["is_last"][number],
        "is_terminal": episode["is_terminal"][number],
        "language_instruction": "grasp any object",
    }


@dataclasses.dataclass
class GraspingConfig(tfds.core.BuilderConfig):
    """How examples are made, and how large frames are."""

    beam: bool = False
    side: int = 64


class Builder(tfds.core.GeneratorBasedBuilder):
    """Grasping attempts: frames, numbers of the gripper, actions."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "benchmarks/dataset_plane.py writes the episodes."
    BUILDER_CONFIGS: ClassVar = [
        GraspingConfig(name="generator"),
        GraspingConfig(name="beam", beam=True),
        GraspingConfig(name="generator_256", side=256),
        GraspingConfig(name="beam_256", beam=True, side=256),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        side = self.builder_config.side
        scalar, floats = tfds.features.Scalar, tfds.features.Tensor
        steps = {
            "observation": {
                "image": tfds.features.Image(
                    shape=(side, side, 3), dtype=np.uint8, encoding_format="png"
                ),
                "gripper_planar_pose": floats(shape=(3,), dtype=np.float32),
                "gripper_height": floats(shape=(1,), dtype=np.float32),
                "gripper_opening": floats(shape=(1,), dtype=np.float32),
                "episode_fraction": floats(shape=(1,), dtype=np.float32),
            },
            "action": floats(shape=(5,), dtype=np.float32),
            "commanded_action": floats(shape=(5,), dtype=np.float32),
            "reward": scalar(dtype=np.float32),
            "discount": scalar(dtype=np.float32),
            "is_first": scalar(dtype=np.bool_),
            "is_last": scalar(dtype=np.bool_),
            "is_terminal": scalar(dtype=np.bool_),
            "language_instruction": tfds.features.Text(),
        }
        features = {
            "steps": tfds.features.Dataset(steps),
            "episode_metadata": {"file_path": tfds.features.Text()},
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> Any:
        root = dl_manager.manual_dir
        return {
            "train": self._generate_examples(root / "train"),
            "val": self._generate_examples(root / "val"),
        }

    def _generate_examples(self, folder: Any) -> Any:
        paths = sorted(str(path) for path in folder.glob("episode_*.npz"))
        if self.builder_config.beam:
            beam = tfds.core.lazy_imports.apache_beam
            return beam.Create(paths) | beam.Map(parse_episode)
        return self._examples(paths)

    def _examples(self, paths: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        for path in paths:
            yield parse_episode(path)
