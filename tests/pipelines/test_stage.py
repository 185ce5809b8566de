"""A stage ends with every unit done, or says which are not, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import apache_beam as beam
import psutil
import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write
from thresher.pipelines import arrivals, stage, unit, unit_hosts
from thresher.pipelines.arrivals import Arrivals
from thresher.pipelines.runners import local_options
from thresher.pipelines.stage import UnitCrashedError, run_stage, workers
from thresher.tests.episodes.tiny import TINY_SPEC
from thresher.tests.pipelines.stage_units import TestUnit, units_in

ONE, TWO = local_options(1), local_options(2)


def _done(units):
    return [u.number for u in units if u.path.exists()]


def _pids(units):
    return {u.path.read_text() for u in units}


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setattr(stage, "_PATIENCE_SECONDS", 0.0)


def test_what_is_done_is_not_done_twice(tmp_path):
    units = units_in(tmp_path, 5)
    atomic_write(units[3].path, "of an earlier session")
    run_stage("test", units, ONE)
    assert _done(units) == [0, 1, 2, 3, 4]
    assert units[3].path.read_text() == "of an earlier session"
    run_stage("test", units, ONE)
    assert [u.attempts for u in units] == [1, 1, 1, 0, 1]


def test_two_workers_are_two_processes_beside_this_one(tmp_path):
    units = units_in(tmp_path, 8, seconds=0.3)
    run_stage("test", units, TWO)
    assert len(_pids(units)) == 2
    assert str(os.getpid()) not in _pids(units)


def test_workers_are_kept_from_stage_to_stage_and_end_after(tmp_path):
    first = units_in(tmp_path / "a", 8, seconds=0.2)
    second = units_in(tmp_path / "b", 8, seconds=0.2)
    with workers(TWO):
        run_stage("first", first, TWO)
        run_stage("second", second, TWO)
    assert _pids(first) == _pids(second)
    assert not any(psutil.pid_exists(int(pid)) for pid in _pids(first))


def test_a_killed_worker_costs_one_try_at_one_unit(tmp_path, capsys):
    units = units_in(tmp_path, 12, {2: "dies once"})
    run_stage("test", units, TWO)
    assert _done(units) == list(range(12))
    assert [u.attempts for u in units] == [1, 1, 2, *[1] * 9]
    said = capsys.readouterr().err
    assert "killed by signal 9" in said
    assert "running again what is missing (1)" in said


def test_a_unit_that_kills_its_workers_is_named_and_all_others_are_done(tmp_path):
    units = units_in(tmp_path, 8, {2: "dies"})
    with pytest.raises(UserError, match=r"1 pieces .* \(2\.txt\).*signal 9"):
        run_stage("test", units, TWO)
    assert _done(units) == [0, 1, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("options", [ONE, TWO])
def test_what_a_unit_refuses_is_raised_once_in_its_words_and_mended_later(
    tmp_path, options
):
    units = units_in(tmp_path, 6, {1: "refuses once"})
    with pytest.raises(UserError, match="^the camera is unplugged; plug it in$"):
        run_stage("test", units, options)
    assert units[1].attempts == 1
    assert _done(units) == [0, 2, 3, 4, 5]
    run_stage("test", units, options)
    assert _done(units) == [0, 1, 2, 3, 4, 5]
    assert not list(tmp_path.glob("*.refused"))


@pytest.mark.parametrize("options", [ONE, TWO])
def test_a_full_disk_is_told_also_where_no_note_can_be_written(
    tmp_path, options, monkeypatch
):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(unit, "atomic_write", full)
    units = units_in(tmp_path, 2, {0: "finds the disk full"})
    with pytest.raises(UserError, match="No space left on device.*goes on"):
        run_stage("test", units, options)


@pytest.mark.parametrize("options", [ONE, TWO])
def test_a_mistake_in_the_code_comes_with_its_place_and_is_tried_once(
    tmp_path, options
):
    units = units_in(tmp_path, 3, {1: "has a mistake"})
    with pytest.raises(UnitCrashedError, match="(?s)stage_units.*a mistake"):
        run_stage("test", units, options)
    assert units[1].attempts == 1
    assert _done(units) == [0, 2]


def test_notes_of_another_session_or_of_a_lost_attempt_mean_nothing(tmp_path):
    units = units_in(tmp_path, 2)
    atomic_write(tmp_path / "0.txt.refused", "of yesterday")
    run_stage("test", units, ONE)
    atomic_write(tmp_path / "1.txt.refused", "of an attempt that lost the race")
    stage._raise_refusals(units, [], [])
    assert not list(tmp_path.glob("*.refused"))


class _Breaking(stage.RunUnits):
    """Does the first units of a run, then breaks off as runners do."""

    def expand(self, units):
        def some(unit):
            if unit.number % 3 == 0 and unit.attempts == 0:
                unit.run()
                raise RuntimeError("java.lang.X: y\nCaused by: task manager lost")
            stage._run(unit)

        return units | beam.Map(some)


def test_a_run_that_breaks_off_is_followed_by_another_with_its_reason(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(stage, "RunUnits", _Breaking)
    units = units_in(tmp_path, 12)
    run_stage("test", units, ONE)
    assert _done(units) == list(range(12))
    assert "the runner failed: Caused by: task manager lost" in capsys.readouterr().err


class _Broken(stage.RunUnits):
    def expand(self, units):
        def fail(unit):
            raise RuntimeError("no route to host")

        return units | beam.Map(fail)


def test_a_runner_that_does_nothing_is_given_up_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "RunUnits", _Broken)
    with pytest.raises(UserError, match=r"after 3 runs.*0\.txt.*no route to host"):
        run_stage("test", units_in(tmp_path, 3), ONE)


@pytest.mark.parametrize("options", [ONE, TWO])
def test_more_units_than_a_run_takes_are_done_in_waves(tmp_path, options, monkeypatch):
    monkeypatch.setattr(stage, "WAVE_UNITS", 4)
    monkeypatch.setattr(stage, "_PACK_UNITS", 3)
    units = units_in(tmp_path, 11)
    run_stage("test", units, options)
    assert _done(units) == list(range(11))


@pytest.mark.parametrize(("options", "processes"), [(ONE, 1), (TWO, 2)])
def test_a_local_run_takes_as_many_units_as_are_worth_one_for_each_process(
    tmp_path, options, processes, monkeypatch
):
    monkeypatch.setattr(stage, "_LOCAL_WAVE_UNITS", 3)
    waves = []
    run_wave = stage._run_wave
    monkeypatch.setattr(
        stage, "_run_wave", lambda w, o: waves.append(len(w)) or run_wave(w, o)
    )
    units = units_in(tmp_path, 7)
    run_stage("test", units, options)
    assert _done(units) == list(range(7))
    assert waves == ([3, 3, 1] if processes == 1 else [6, 1])


def test_a_look_at_twenty_thousand_units_is_one_listing(tmp_path, monkeypatch):
    units = [TestUnit(tmp_path, number) for number in range(20_000)]
    for number in range(0, 20_000, 10):
        (tmp_path / f"{number}.txt").touch()
    listed = []
    real = os.scandir
    monkeypatch.setattr(
        arrivals.os, "scandir", lambda path: listed.append(path) or real(path)
    )
    found = Arrivals(units)
    began = time.monotonic()
    assert len(found.look()) == 2_000
    assert time.monotonic() - began < 1
    assert listed == [tmp_path]
    assert len(found.missing) == 18_000


def test_what_units_share_is_sent_once(tmp_path):
    units = [(TestUnit(tmp_path, number), TINY_SPEC) for number in range(500)]
    one = len(stage._pack(units[:1]))
    assert len(stage._pack(units)) < 20 * one
    assert stage._unpack(stage._pack(units)) == units


def test_two_units_may_not_write_one_file(tmp_path):
    with pytest.raises(ValueError, match=r"two units .*/0\.txt"):
        run_stage("test", [TestUnit(tmp_path, 0), TestUnit(tmp_path, 0, "x")], ONE)


def test_the_same_unit_at_once_in_two_processes_is_harmless(tmp_path):
    (same,) = units_in(tmp_path, 1, seconds=0.3)
    with unit_hosts.crowd_of(2) as crowd:
        crowd.submit(same)
        crowd.submit(same)
        crowd.finish()
        assert not crowd.refused
        assert not crowd.lost
    assert same.attempts == 2
    assert same.path.read_text().isdigit()
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["0.txt"]


def test_a_worker_given_up_does_not_bring_a_folder_back(tmp_path):
    gone = TestUnit(tmp_path / "gone", 0, "refuses once")
    refusal = unit.run_unit(gone)
    assert refusal is not None
    assert not refusal.kept
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("seconds", [0.2, 1000.0])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_session_however_it_ends(tmp_path, how, seconds):
    script = f"""
        from pathlib import Path
        from thresher.pipelines.runners import local_options
        from thresher.pipelines.stage import run_stage
        from thresher.tests.pipelines.stage_units import units_in
        units = units_in(Path({str(tmp_path)!r}), 100, seconds={seconds})
        run_stage("test", units, local_options(2))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    began = ("attempts/*", 2) if seconds > 100 else ("*.txt", 4)
    while len(list(tmp_path.glob(began[0]))) < began[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    at_work = psutil.Process(process.pid).children(recursive=True)
    assert len(at_work) == 2
    process.send_signal(how)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    _, left = psutil.wait_procs(at_work, timeout=10)
    assert not left, "a worker went on in the middle of its unit"
    if how == signal.SIGINT:
        assert errors.decode().count("Traceback") == 1, errors.decode()
    run_stage("test", units_in(tmp_path, 20), ONE)
    assert all(p.read_text().isdigit() for p in tmp_path.glob("*.txt"))
