"""A dataset of one's own: `thresher new`, then `tfds build` with TFDS's own options."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.raw_log import RawLogWriter
from thresher.episodes.version import open_version
from thresher.pipelines.build import Build, build_version
from thresher.pipelines.new_dataset import new_dataset
from thresher.pipelines.recipe_file import read_recipe
from thresher.pipelines.runners import local_options
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "my_dataset"
    new_dataset(folder, 2026)
    (folder / "logs").mkdir()
    with RawLogWriter(folder / "logs" / "a.mcap", TINY_SPEC) as log:
        for number in range(40):
            log.write(tiny_episode(number, success=number % 4 == 0, scene=f"s{number}"))
    return folder


def _tfds_build(folder, *arguments):
    return subprocess.run(
        [Path(sys.executable).parent / "tfds", "build", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_its_recipe_is_about_twenty_lines_and_says_what_it_is_for(dataset):
    text = (dataset / "recipe.yaml").read_text()
    assert len(text.splitlines()) <= 25
    recipe = read_recipe(dataset).recipe
    assert recipe.name == "my_dataset"
    assert recipe.checks["too_short"].action == "reject"
    assert recipe.rebalance.target == 0.5


def test_tfds_build_makes_it_with_tfdss_own_options(dataset, tmp_path):
    done = _tfds_build(
        dataset,
        *("--data_dir", tmp_path, "--num_shards", 3, "--max_examples_per_split", 9),
        *("--file_format", "array_record"),
        *("--beam_pipeline_options", "runner=DirectRunner,direct_num_workers=1"),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    version = open_version(tmp_path / "my_dataset" / "1.0.0")
    train = [row for row in version.index.to_pylist() if row["split"] == "train"]
    assert len(train) == 9
    assert {row["num_shards"] for row in train} == {3}
    assert len(list(version.path.glob("my_dataset-train.array_record-*"))) == 3
    again = _tfds_build(dataset, "--data_dir", tmp_path)
    assert again.returncode == 0, again.stderr[-2000:]
    assert open_version(version.path).digest == version.digest
    other = _tfds_build(dataset, "--data_dir", tmp_path, "--manual_dir", dataset)
    assert other.returncode == 2
    assert "was built from other recipe" in other.stderr.splitlines()[-1]
    replaced = _tfds_build(dataset, "--data_dir", tmp_path, "--overwrite")
    assert replaced.returncode == 0, replaced.stderr[-2000:]
    assert open_version(version.path).digest != version.digest


def test_configs_are_built_by_name_and_without_a_name_all_are(dataset, tmp_path):
    recipe = dataset / "recipe.yaml"
    text = recipe.read_text()
    try:
        recipe.write_text(
            text + "configs:\n  even: {}\n  all: {rebalance: off, description: All.}\n"
        )
        done = _tfds_build(dataset, "--data_dir", tmp_path, "--config", "all")
        assert done.returncode == 0, done.stderr[-2000:]
        folder = tmp_path / "my_dataset"
        assert (folder / "all" / "1.0.0").is_dir()
        assert not (folder / "even").exists()
        done = _tfds_build(
            dataset, "--data_dir", tmp_path, "--max_shard_size_mb", 1, "--overwrite"
        )
        assert done.returncode == 0, done.stderr[-2000:]
        even, everything = (
            open_version(folder / name / "1.0.0").index.num_rows
            for name in ("even", "all")
        )
        assert everything == 40 > even
    finally:
        recipe.write_text(text)


def test_the_recipes_own_format_and_each_variants_version_hold(dataset, tmp_path):
    recipe = dataset / "recipe.yaml"
    text = recipe.read_text()
    try:
        recipe.write_text(
            text + "shards: {file_format: array_record}\n"
            "configs:\n  newer: {version: 2.0.0}\n  plain: {}\n"
        )
        done = _tfds_build(dataset, "--data_dir", tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        for config, number in (("newer", "2.0.0"), ("plain", "1.0.0")):
            (folder,) = (tmp_path / "my_dataset" / config).iterdir()
            version = open_version(folder)
            assert folder.name == version.version == number
            assert list(folder.glob("my_dataset-train.array_record-*"))
            again = Build(
                recipe=read_recipe(dataset).variant(config),
                root=dataset,
                target=folder,
                options=local_options(1),
            )
            assert build_version(again).digest == version.digest
    finally:
        recipe.write_text(text)


def test_a_version_that_stays_though_its_recipe_changed_is_told(dataset, tmp_path):
    recipe = dataset / "recipe.yaml"
    text = recipe.read_text()
    assert _tfds_build(dataset, "--data_dir", tmp_path).returncode == 0
    same = _tfds_build(dataset, "--data_dir", tmp_path)
    assert "stays as it is" not in same.stderr
    try:
        recipe.write_text(text.replace("target: 0.5", "target: 0.4"))
        done = _tfds_build(dataset, "--data_dir", tmp_path)
    finally:
        recipe.write_text(text)
    assert done.returncode == 0
    told = next(line for line in done.stderr.splitlines() if "stays as it is" in line)
    assert "rebalance differ" in told and "--overwrite" in told


def test_a_recipe_that_is_wrong_ends_in_one_message(dataset, tmp_path):
    recipe = dataset / "recipe.yaml"
    text = recipe.read_text()
    try:
        recipe.write_text(text.replace("target: 0.5", "target: 5"))
        done = _tfds_build(dataset, "--data_dir", tmp_path)
    finally:
        recipe.write_text(text)
    assert done.returncode == 2
    assert "recipe.yaml, rebalance" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["My-Data", "1st", "a b"])
def test_a_name_that_cannot_be_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="cannot name a dataset"):
        new_dataset(tmp_path / name, 2026)


def test_what_is_there_is_never_overwritten(dataset):
    with pytest.raises(UserError, match="exists already"):
        new_dataset(dataset, 2026)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot make"):
        new_dataset(tmp_path / "file" / "a", 2026)
    with pytest.raises(UserError, match="at most 180"):
        new_dataset(tmp_path / ("a" * 300), 2026)
