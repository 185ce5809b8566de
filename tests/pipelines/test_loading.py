"""Versions load with the tools that people have: TFDS, rlds, OXE's way, Croissant."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from thresher.pipelines.build import build_version
from thresher.pipelines.derive import Derivation, derive_version
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.runners import local_options
from thresher.pipelines.split import SplitConfig
from thresher.tests.pipelines.test_build import _build, write_logs


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def version(data):
    logs = write_logs(data / "logs")
    split = SplitConfig(shares={"train": 0.8, "val": 0.2})
    return build_version(_build(data, logs, split=split))


@pytest.fixture(scope="module")
def oxe(version, data):
    asked = Derivation(
        [version.path], alignment="oxe", name="tiny_oxe", version="1.0.0"
    )
    return derive_version(asked, local_options(1))


def test_tfds_load_finds_it_by_name(version, data):
    dataset, info = tfds.load("tiny", data_dir=data, split="train", with_info=True)
    assert info.full_name == "tiny/1.0.0"
    ids = [e["episode_metadata"]["episode_id"].numpy().decode() for e in dataset]
    rows = version.index.to_pylist()
    assert ids == [row["episode_id"] for row in rows if row["split"] == "train"]


def test_slices_and_shuffles_are_tfdss_own(version):
    builder = tfds.builder_from_directory(version.path)
    total = builder.info.splits["train"].num_examples
    halves = [
        [
            e["episode_metadata"]["episode_id"].numpy()
            for e in builder.as_dataset(split=part)
        ]
        for part in ("train[:50%]", "train[50%:]")
    ]
    assert len(set(halves[0] + halves[1])) == total


@pytest.mark.skipif(
    sys.version_info < (3, 10),
    reason="TFDS 4.9.3, the last for Python 3.9, decodes nested steps without end",
)
def test_a_data_source_reads_any_episode_by_its_number(version, tmp_path):
    plan = PlanConfig(file_format="array_record", num_shards=2)
    found = derive_version(
        Derivation([version.path], plan=plan, version="1.0.0", data_dir=tmp_path),
        local_options(1),
    )
    source = tfds.builder_from_directory(found.path).as_data_source("train")
    rows = [row for row in found.index.to_pylist() if row["split"] == "train"]
    assert len(source) == len(rows)
    for number in (len(rows) - 1, 0, 3):
        episode = source[number]
        assert (
            episode["episode_metadata"]["episode_id"].decode()
            == (rows[number]["episode_id"])
        )
        steps = list(episode["steps"])
        assert len(steps) == rows[number]["num_steps"]
        assert steps[0]["observation"]["image"].shape == (8, 6, 3)


def test_rlds_transformations_see_the_reward_on_its_transition(version):
    import rlds

    builder = tfds.builder_from_directory(version.path)
    for episode in builder.as_dataset(split="train"):
        pairs = rlds.transformations.batch(
            episode[rlds.STEPS], size=2, shift=1, drop_remainder=True
        )
        total = sum(float(pair["reward"][0]) for pair in pairs.as_numpy_iterator())
        won = episode["episode_metadata"]["outcome"]["success"].numpy() == b"yes"
        assert total == float(won)


def _oxe_trajectories(path, split):
    """Reads as OXE's loaders do: whole trajectories, pictures left encoded."""
    builder = tfds.builder_from_directory(path)
    dataset = builder.as_dataset(
        split=split, decoders={"steps": tfds.decode.SkipDecoding()}
    )

    def restructure(trajectory):
        steps = trajectory["steps"]
        length = tf.shape(steps["action"])[0]
        return {
            "observation": {
                "image_primary": steps["observation"]["image"],
                "proprio": steps["observation"]["height"],
                "timestep": tf.range(length),
            },
            "task": {"language_instruction": steps["language_instruction"]},
            "action": steps["action"],
            "reward": steps["reward"],
            "is_terminal": steps["is_terminal"],
        }

    return dataset.map(restructure)


def test_an_oxe_style_reader_gets_whole_trajectories(oxe):
    builder = tfds.builder_from_directory(oxe.path)
    assert {"train", "val"} <= set(builder.info.splits)
    seen = 0
    for split in ("train", "val"):
        for trajectory in _oxe_trajectories(oxe.path, split):
            length = len(trajectory["action"])
            images = trajectory["observation"]["image_primary"]
            assert images.dtype == tf.string
            assert images.shape == (length,)
            assert tf.io.decode_image(images[-1]).shape == (8, 6, 3)
            assert np.any(trajectory["action"][-1].numpy())
            instruction = trajectory["task"]["language_instruction"]
            assert set(instruction.numpy()) == {b"pick something up"}
            # The reward that a success ends with is on the last step.
            assert not trajectory["reward"][:-1].numpy().any()
            seen += float(trajectory["reward"][-1])
    successes = oxe.index["success"].to_pylist().count("yes")
    assert seen == successes > 0


def test_its_statistics_are_those_of_what_tfds_reads(version):
    actions = np.concatenate(
        [
            np.array([step["action"].numpy() for step in list(episode["steps"])[:-1]])
            for episode in tfds.builder_from_directory(version.path).as_dataset("train")
        ]
    )
    facts = version.statistics["train"]["action"]
    assert facts["count"] == len(actions)
    np.testing.assert_allclose(facts["mean"], actions.mean(0), rtol=1e-6)
    np.testing.assert_allclose(facts["std"], actions.std(0), rtol=1e-6)
    np.testing.assert_allclose(facts["max"], actions.max(0))
    median = np.median(actions, axis=0)
    np.testing.assert_allclose(facts["quantiles"]["q50"], median, atol=0.1)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="mlcroissant needs Python 3.10")
def test_croissant_reads_the_episode_table(version):
    import mlcroissant

    text = (version.path / "croissant.json").read_text()
    dataset = mlcroissant.Dataset(jsonld=version.path / "croissant.json")
    assert dataset.metadata.name == "tiny"
    assert not dataset.metadata.ctx.issues.errors
    records = list(dataset.records("episodes"))
    ids = [record["episodes/episode_id"].decode() for record in records]
    assert ids == version.index["episode_id"].to_pylist()
    assert json.loads(text)["version"] == "1.0.0"


def test_a_version_with_a_config_is_found_under_it(version, data):
    import dataclasses

    build = _build(data, data / "logs", config="all", rebalance=None)
    build = dataclasses.replace(build, target=data / "tiny" / "all" / "1.0.0")
    build_version(build)
    info = tfds.builder("tiny/all", data_dir=data).info
    assert info.full_name == "tiny/all/1.0.0"
    assert sum(split.num_examples for split in info.splits.values()) == 60
