"""Exactly the episodes asked for, whatever happens to world, worker or parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from thresher.envs.policies.measured import note_measurement
from thresher.episodes.errors import UserError
from thresher.episodes.raw_log import RawLogReader
from thresher.pipelines import worker_host
from thresher.pipelines.collect import CollectConfig, collect
from thresher.tests.processes import command_of

WORLD = "thresher.tests.pipelines.unruly_world:UnrulyWorld"
EPISODES = 120


def _config(**options):
    changes = {"episodes": EPISODES, "episode_seconds": 1.0}
    own = {name: options.pop(name) for name in tuple(options) if name in changes}
    return CollectConfig(
        policy="random", world=WORLD, world_options=options, **{**changes, **own}
    )


def _episodes(folder):
    """Every episode of a run, by source id; each is there once."""
    found = [
        episode
        for log in sorted((folder / "logs").glob("*.mcap"))
        for _, episode in RawLogReader(log).episodes()
    ]
    by_source = {episode.metadata.source_id: episode for episode in found}
    assert len(by_source) == len(found)
    return by_source


def _ids(folder):
    return {source: e.episode_id for source, e in _episodes(folder).items()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    record = collect(_config(), folder, workers=1)
    return folder, record


def test_every_number_is_there_once(undisturbed):
    folder, record = undisturbed
    assert set(_ids(folder)) == {f"seed0/{n:08d}" for n in range(EPISODES)}
    assert record.results["episodes"] == EPISODES
    assert sum(record.results["outcomes"].values()) == EPISODES
    assert record.results["restarts"] == 0
    assert record.results["mean_hours_between_failures"] is None


def test_workers_change_nothing(undisturbed, tmp_path):
    collect(_config(), tmp_path, workers=3)
    assert _ids(tmp_path) == _ids(undisturbed[0])


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("crash", "crash"), ("hang", "hang"), ("nan", "invalid"), ("bug", "crash")],
)
def test_a_world_that_goes_wrong_is_replaced_and_counted(
    undisturbed, tmp_path, fault, kind
):
    config = _config(fault=fault, marker=str(tmp_path / "marker"))
    record = collect(config, tmp_path / "run", workers=2)
    assert _ids(tmp_path / "run") == _ids(undisturbed[0])
    assert record.results["faults"][kind] == record.results["restarts"] == 1
    assert record.results["mean_hours_between_failures"] > 0
    (line,) = (tmp_path / "run" / "faults.jsonl").read_text().splitlines()
    assert json.loads(line)["kind"] == kind
    if fault == "bug":
        printed = (tmp_path / "run" / "workers.log").read_text()
        assert "a bug in the world" in printed


def test_an_episode_that_always_fails_is_drawn_anew_and_says_so(undisturbed, tmp_path):
    record = collect(_config(fault="nan", bad_share=0.02), tmp_path, workers=2)
    episodes, plain = _episodes(tmp_path), _ids(undisturbed[0])
    redrawn = {s for s, e in episodes.items() if "attempt" in e.metadata.environment}
    assert 0 < len(redrawn) < 10
    assert record.results["faults"]["invalid"] == 2 * len(redrawn)
    for source, episode in episodes.items():
        assert (episode.episode_id != plain[source]) == (source in redrawn)


def test_a_world_that_never_works_ends_the_run_and_keeps_what_there_is(tmp_path):
    config = _config(fault="nan", bad_share=1.0)
    with pytest.raises(UserError, match=r"episode \d+ failed 6 times \(invalid: state"):
        collect(config, tmp_path, workers=1)
    assert not json.loads((tmp_path / "run.json").read_text())["finished"]


def test_an_error_in_a_worker_is_one_message(tmp_path):
    process = _start(tmp_path, fault="nan", bad_share=1.0)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    (line,) = [row for row in errors.splitlines() if "apitools" not in row]
    assert line.startswith("thresher: episode ")
    assert line.endswith("(3 pieces of work failed)")
    assert not list((tmp_path / "logs").iterdir())


def test_a_log_that_cannot_be_written_is_said_and_done_later(undisturbed, tmp_path):
    # In the place of the second log there is a folder.
    (tmp_path / "logs" / "00000050.mcap").mkdir(parents=True)
    with pytest.raises(UserError, match="raw log could not be written"):
        collect(_config(), tmp_path, workers=2)
    assert len(list((tmp_path / "logs").glob("*.json"))) == 2
    (tmp_path / "logs" / "00000050.mcap").rmdir()
    collect(_config(), tmp_path, workers=2)
    assert _ids(tmp_path) == _ids(undisturbed[0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"noise": -1.0}, "exploration noise -1.0"),
        ({"noise_correlation": 1.0}, "noise correlation 1.0"),
        ({"episode_seconds": 0.0}, "cannot be done in 0.0 s"),
        ({"episodes": 0}, "ask for 1 or more"),
    ],
)
def test_numbers_that_cannot_be_are_refused_before_anything_starts(changes, words):
    with pytest.raises(UserError, match=words):
        CollectConfig(**changes)


def test_what_the_user_must_mend_is_said_once(tmp_path):
    with pytest.raises(UserError, match="unexpected keyword argument 'colour'"):
        collect(_config(colour="red"), tmp_path, workers=1)
    with pytest.raises(UserError, match="cannot be imported"):
        collect(CollectConfig(world="nowhere:World"), tmp_path / "other")


def _start(folder, **options):
    script = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "from thresher import cli\n"
        "from thresher.tests.pipelines import test_collect as t\n"
        "from thresher.pipelines.collect import collect\n"
        "def run():\n"
        "    options = json.loads(sys.argv[2])\n"
        "    collect(t._config(**options), Path(sys.argv[1]), workers=2)\n"
        "cli.app = run\n"
        "cli.main()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder), json.dumps(options)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def _workers_of(process):
    """Its workers, once there are two and a log has been finished."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = psutil.Process(process.pid).children(recursive=True)
        workers = [c for c in children if "episode_worker" in " ".join(command_of(c))]
        if len(workers) == 2:
            return workers
        time.sleep(0.05)
    raise AssertionError(f"no workers came up: {process.communicate()}")


def _wait_for_log(folder):
    deadline = time.monotonic() + 60
    while not list((folder / "logs").glob("0*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_worker_is_replaced(undisturbed, tmp_path):
    process = _start(tmp_path, slow=0.01)
    _workers_of(process)[0].kill()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert _ids(tmp_path) == _ids(undisturbed[0])
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["results"]["faults"]["crash"] == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_goes_on_where_it_was(undisturbed, tmp_path, how):
    process = _start(tmp_path, slow=0.01)
    workers = _workers_of(process)
    _wait_for_log(tmp_path)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 130, errors
        told = [line for line in errors.splitlines() if "apitools" not in line]
        assert told[-1].endswith("the same command goes on from here")
        assert not any("rror" in line for line in told), errors
    psutil.wait_procs(workers, timeout=20)
    assert not any(worker.is_running() for worker in workers)
    # A log without its summary is written again.
    done = [p.with_suffix(".mcap") for p in (tmp_path / "logs").glob("0*.json")]
    kept = {path: path.stat().st_mtime_ns for path in done}
    assert 0 < len(kept) < 3
    assert not json.loads((tmp_path / "run.json").read_text())["finished"]
    record = collect(_config(slow=0.01), tmp_path, workers=2)
    assert record.finished and record.sessions == 2
    assert _ids(tmp_path) == _ids(undisturbed[0])
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    assert not list((tmp_path / "logs").glob(".*"))


def test_a_new_worker_may_take_long_to_start(monkeypatch, tmp_path):
    monkeypatch.setattr(worker_host, "STARTUP_SECONDS", 0.01)
    with pytest.raises(UserError, match="hang: no sign of life"):
        collect(_config(episodes=1, episode_seconds=0.01), tmp_path, workers=1)


def test_a_learned_policy_must_have_been_measured_to_succeed(tmp_path):
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "policy.json").write_text("{}")
    config = CollectConfig(policy=str(policy), world=WORLD, episodes=1)

    def refusal():
        with pytest.raises(UserError) as error:
            collect(config, tmp_path / "run")
        return str(error.value)

    assert "was never measured" in refusal()
    note_measurement(policy, {"world": WORLD, "seed": 1}, 50, 100)
    note_measurement(policy, {"world": WORLD, "seed": 2}, 19, 100)
    assert "19 of 100 trials (19.0%)" in refusal()
    note_measurement(policy, {"world": WORLD, "seed": 2}, 20, 100)
    # Past the gate; the policy itself is none.
    assert "lacks policy_id" in refusal()
