"""Training end to end on a tiny sealed version."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from thresher.episodes.errors import UserError
from thresher.episodes.metadata import Success
from thresher.offline_rl.train import Schedule, TrainConfig, train
from thresher.tests.offline_rl.toy_reaching import ToyGeometry, toy_episode
from thresher.tests.offline_rl.toy_version import toy_version, write_version

SETTINGS = {
    "filters": 8,
    "hidden_units": 16,
    "shift_pixels": 1,
    "target_samples": 8,
    "target_elites": 2,
}
CONFIG = TrainConfig(settings=SETTINGS, steps=20, batch_size=8, seed=3)
SCHEDULE = Schedule(checkpoint_seconds=0.0, log_steps=5, evaluations=2)


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return toy_version(tmp_path_factory.mktemp("data"), {"train": 80, "val": 40})


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def _train(version, run_dir, cache_dir, config=CONFIG):
    return train(
        version,
        run_dir,
        config,
        cache_dir=cache_dir,
        schedule=SCHEDULE,
        geometry=ToyGeometry(),
    )


@pytest.fixture(scope="module")
def finished_run(version, cache_dir, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "finished"
    _train(version, run_dir, cache_dir)
    return run_dir


def test_a_run_leaves_everything_that_says_what_it_was(finished_run, version):
    record = json.loads((finished_run / "run.json").read_text())
    assert record["station"] == "train" and record["finished"]
    config = json.loads((finished_run / "config.json").read_text())
    assert config["seed"] == 3 and config["settings"]["filters"] == 8
    assert len(config["dataset"]["digest"]) == 64
    policy = json.loads((finished_run / "policy" / "policy.json").read_text())
    assert policy["targets"] == "monte-carlo"
    assert policy["policy_id"] == "qt-opt-monte-carlo"
    assert policy["dataset_digest"] == config["dataset"]["digest"]
    assert list((finished_run / "tensorboard").iterdir())


def test_metrics_are_a_plain_table(finished_run):
    with open(finished_run / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    losses = [row for row in rows if row["name"] == "train/loss"]
    assert [row["step"] for row in losses] == ["5", "10", "15", "20"]
    assert {"held_out/loss", "held_out/auc"} <= {row["name"] for row in rows}


def test_two_checkpoints_are_kept(finished_run):
    names = [path.name for path in (finished_run / "checkpoints").glob("*.index")]
    assert sorted(names) == ["step-15.index", "step-20.index"]


def test_a_finished_run_is_not_trained_again(finished_run, version, cache_dir):
    before = (finished_run / "run.json").read_text()
    results = _train(version, finished_run, cache_dir)
    assert results["train/loss"] > 0
    assert (finished_run / "run.json").read_text() == before


def test_a_run_of_another_configuration_is_refused(finished_run, version, cache_dir):
    other = TrainConfig(settings=SETTINGS, steps=20, batch_size=16, seed=4)
    with pytest.raises(UserError, match="batch_size was 8 and is now 16; seed was 3"):
        _train(version, finished_run, cache_dir, other)


def test_a_killed_run_goes_on_to_the_same_weights(
    finished_run, version, cache_dir, tmp_path
):
    run_dir = tmp_path / "killed"
    _run_until_killed(version, run_dir, cache_dir, after_step=10)
    results = _train(version, run_dir, cache_dir)
    assert _weights(run_dir).keys() == _weights(finished_run).keys()
    for name, weight in _weights(finished_run).items():
        np.testing.assert_array_equal(_weights(run_dir)[name], weight, err_msg=name)
    assert json.loads((run_dir / "run.json").read_text())["sessions"] == 2
    straight = json.loads((finished_run / "run.json").read_text())["results"]
    for name in ("train/loss", "held_out/loss", "held_out/auc"):
        assert results[name] == pytest.approx(straight[name], rel=1e-5)


def _run_until_killed(version, run_dir, cache_dir, *, after_step):
    """Trains in a process of its own and kills it as soon as a checkpoint is there."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "from thresher.tests.offline_rl import test_train as t\n"
        "import thresher.offline_rl.checkpoints as c\n"
        "save = c.RunCheckpoints.save\n"
        "def save_and_hang(self, step):\n"
        "    save(self, step)\n"
        f"    time.sleep(600 if step >= {after_step} else 0)\n"
        "c.RunCheckpoints.save = save_and_hang\n"
        "t._train(*map(Path, sys.argv[1:]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(version), str(run_dir), str(cache_dir)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wanted = run_dir / "checkpoints" / "checkpoint"
    try:
        while process.poll() is None:
            if wanted.exists() and f'"step-{after_step}"' in wanted.read_text():
                break
            time.sleep(0.1)
        assert process.poll() is None, "the run ended before it could be killed"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def _weights(run_dir):
    latest = tf.train.latest_checkpoint(str(run_dir / "checkpoints"))
    names = [name for name, _ in tf.train.list_variables(latest)]
    return {
        name: tf.train.load_variable(latest, name)
        for name in names
        if name.startswith("learner/")
    }


def test_a_held_out_split_of_failures_alone_does_not_stop_training(tmp_path):
    """A handful of episodes may all have failed; they just cannot be ranked."""
    failures = [
        episode
        for episode in map(toy_episode, range(100, 140))
        if episode.metadata.outcome.success is Success.NO
    ]
    training = [toy_episode(number) for number in range(80)]
    path = write_version(tmp_path / "data", {"train": training, "val": failures[:5]})
    results = _train(path, tmp_path / "run", tmp_path / "cache")
    assert np.isfinite(results["held_out/loss"])
    assert "held_out/auc" not in results


def test_training_data_without_rewards_are_refused(tmp_path):
    failures = [
        episode
        for episode in map(toy_episode, range(40))
        if episode.metadata.outcome.success is Success.NO
    ]
    path = write_version(tmp_path / "data", {"train": failures})
    with pytest.raises(UserError, match="no reward in any of its"):
        _train(path, tmp_path / "run", tmp_path / "cache")


def test_ctrl_c_checkpoints_and_says_how_to_go_on(version, cache_dir, tmp_path):
    with pytest.raises(KeyboardInterrupt, match="start the same command again"):
        _train_and_interrupt(version, tmp_path / "run", cache_dir)
    assert tf.train.latest_checkpoint(str(tmp_path / "run" / "checkpoints"))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert not record["finished"]


def _train_and_interrupt(version, run_dir, cache_dir):
    """Sends this process the signal as soon as the metrics file appears."""
    import threading

    over = threading.Event()

    def interrupt():
        while not (run_dir / "metrics.csv").exists():
            if over.wait(0.05):
                return
        if not over.wait(0.5):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    long = TrainConfig(settings=SETTINGS, steps=2000, batch_size=8, seed=3)
    try:
        _train(version, run_dir, cache_dir, long)
    finally:
        over.set()
        thread.join()
