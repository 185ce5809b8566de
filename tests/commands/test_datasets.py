"""Commands about datasets, as a user types them: right words, one message, a status."""

from __future__ import annotations

import csv
import io
import subprocess
import sys

import pytest

from thresher.commands.beam_options import before_flags
from thresher.pipelines.build import build_version
from thresher.tests.pipelines.test_build import _build, write_logs


def _thresher(*words, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "thresher.cli", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def version(data):
    return build_version(_build(data, write_logs(data / "logs"), rebalance=None))


def test_a_recipe_is_built_derived_and_compared(version, data, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: mine\nversion: 1.0.0\nrebalance: off\nshards: {num_shards: 2}\n"
    )
    out = tmp_path / "data"
    built = _thresher(
        *("build", recipe, "--root", data / "logs", "--data-dir", out),
        *("--workers", 1, "--num-shards", 3),
    )
    assert built.returncode == 0, built.stderr
    assert "60 episodes of 60" in built.stdout
    first = out / "mine" / "1.0.0"
    assert len(list(first.glob("mine-train.tfrecord-*"))) == 3
    derived = _thresher("derive", first, "--ratio", 0.5, "--method", "duplicate")
    assert derived.returncode == 0, derived.stderr
    differ = _thresher("diff", first, out / "mine" / "2.0.0")
    assert differ.returncode == 1
    assert "success in train: 15 of 60 (25.0%) → 45 of 90 (50.0%)" in differ.stdout
    told = _thresher("log", out / "mine" / "2.0.0")
    assert "60 episodes of 3 raw logs" in told.stdout


def test_questions_are_answered_as_csv(version):
    done = _thresher("episodes", version.path, "--where", "success", "--limit", 0)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 15
    assert {row["success"] for row in rows} == {"yes"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("build", "nowhere.yaml"), "thresher new NAME"),
        (("derive", "nowhere"), "no dataset version at"),
        (("derive", "{version}", "--ratio", "7"), "between 0 and 1"),
        (("derive", "{version}", "--ratoi", "0.5"), "did you mean '--ratio'"),
        (("derive", "{version}", "--weights", "a"), "are no numbers"),
        (("derive", "{version}", "--where", "sucess"), "cannot be used"),
        (("derive", "{version}", "--version", "1"), "not 'major.minor.patch'"),
        (("export", "{version}", "--alignment", "oxo"), "known: oxe"),
        (("export", "{version}", "--data-dir", "s3://bucket"), "s3:/bucket is an"),
        (("build", "{recipe}", "--data-dir", "gs://b"), "gs:/b/a/1.0.0 is an address"),
        (("new", "Bad-Name"), "cannot name a dataset"),
        (("episodes", "{version}", "--columns", "sucess"), "did you mean 'success'"),
        (("build", "{recipe}", "--data-dri", "x"), "did you mean '--data-dir'"),
        (("log", "nowhere"), "no dataset version at"),
        (("build", "{recipe}", "--max-shard-size-mb", "nan"), "shards of nan MB"),
        (("build", "{recipe}", "--max-shard-size-mb", "inf"), "shards of inf MB"),
        (("build", "{recipe}", "--workers", "-3"), "-3 workers"),
        (("build", "{recipe}", "--config", "zz"), "has no configs"),
        (("derive", "{version}", "--weights", "0"), "give no version a share"),
        (
            ("derive", "{version}", "--ratio", "1e-310", "--method", "duplicate"),
            "cannot be rebalanced to",
        ),
    ],
)
def test_what_users_get_wrong_is_said_in_one_message(version, tmp_path, words, told):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: a\nversion: 1.0.0\nsources: [logs]\n")
    filled = [w.format(version=version.path, recipe=recipe) for w in words]
    done = _thresher(*filled, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_beams_options_are_told_from_folders():
    from pathlib import Path

    words = [Path("a"), Path("b"), Path("--runner=FlinkRunner"), Path("x")]
    folders, flags = before_flags(words)
    assert folders == [Path("a"), Path("b")]
    assert flags == ["--runner=FlinkRunner", "x"]
    assert before_flags(words[:2]) == (words[:2], [])
