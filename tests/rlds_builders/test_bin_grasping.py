"""`tfds build` as a user runs it, and what plain TFDS and rlds read from the result."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from thresher.envs.grasping.world import BinGrasping
from thresher.envs.registry import make_policy
from thresher.envs.rollout import rollout
from thresher.episodes.raw_log import RawLogWriter

FOLDER = Path(__file__).resolve().parents[2] / "rlds_builders" / "bin_grasping"
OPTIONS = {"image_size": 48, "num_objects": 3, "bank_size": 100}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THRESHER_CACHE", str(folder / "cache"))
        (folder / "logs").mkdir()
        for object_set, count in (("train", 60), ("eval", 6)):
            world = BinGrasping(object_set=object_set, **OPTIONS)
            policy = make_policy("scripted", world)
            with RawLogWriter(
                folder / "logs" / f"{object_set}.mcap", world.episode_spec
            ) as log:
                for number in range(count):
                    log.write(rollout(world, policy, 1, number))
            world.close()
    return folder / "logs"


def _tfds_build(*arguments):
    return subprocess.run(
        [Path(sys.executable).parent / "tfds", "build", *arguments],
        cwd=FOLDER,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def data_dir(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    done = _tfds_build("--data_dir", str(folder), "--manual_dir", str(raw))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def builder(data_dir):
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(data_dir / "bin_grasping" / "1.0.0")


def _successes(builder, split):
    return [
        episode["episode_metadata"]["outcome"]["success"].numpy() == b"yes"
        for episode in builder.as_dataset(split=split)
    ]


def test_training_is_half_successes(builder):
    successes = _successes(builder, "train")
    assert sum(successes) * 2 == len(successes) > 0


def test_evaluation_objects_are_the_test_split(builder):
    assert builder.info.splits["test"].num_examples == 6


def test_pictures_have_the_size_they_were_collected_with(builder):
    assert builder.info.features["steps"]["observation"]["image"].shape == (48, 48, 3)


def test_rlds_finds_the_transitions_and_the_reward_on_the_right_step(builder):
    import rlds

    def transitions(episode):
        return rlds.transformations.batch(
            episode[rlds.STEPS], size=2, shift=1, drop_remainder=True
        )

    dataset = builder.as_dataset(split="train")
    returns = [
        float(rlds.transformations.sum_dataset(episode["steps"], lambda s: s["reward"]))
        for episode in dataset
    ]
    assert returns == [float(success) for success in _successes(builder, "train")]
    for pair in dataset.flat_map(transitions).as_numpy_iterator():
        assert not pair["is_last"][0]
        # The reward of a transition is on its first step; a step that ends an episode
        # holds none.
        assert not (pair["is_last"][1] and pair["reward"][1])
        ends = bool(pair["is_terminal"][1])
        np.testing.assert_equal(pair["discount"][0], np.float32(not ends))


def test_a_build_without_raw_logs_says_what_to_name(tmp_path):
    done = _tfds_build("--data_dir", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("thresher: ")
    assert "--manual_dir" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "bin_grasping" / "1.0.0").exists()
