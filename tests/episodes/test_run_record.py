"""A run record knows interruptions, time and memory."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.run_record import (
    RunRecord,
    recording,
    refuse_other_configuration,
)


def test_a_finished_run_says_what_it_took(tmp_path):
    with recording("collect", tmp_path / "run.json", {"seed": 1}) as record:
        ballast = np.ones(40_000_000 // 8)
        record.results["episodes"] = int(ballast[0])
    read = RunRecord.read(tmp_path / "run.json")
    assert read.finished
    assert read.sessions == 1
    assert read.results == {"episodes": 1}
    assert read.configuration == {"seed": 1}
    assert read.peak_memory_bytes > 40_000_000
    assert read.versions["python"].startswith("3.")


def test_an_interrupted_run_is_known_and_its_time_is_kept(tmp_path):
    path = tmp_path / "run.json"
    with pytest.raises(KeyboardInterrupt), recording("train", path, {}):
        raise KeyboardInterrupt
    interrupted = RunRecord.read(path)
    assert not interrupted.finished
    with recording("train", path, {}):
        pass
    finished = RunRecord.read(path)
    assert finished.finished
    assert finished.sessions == 2
    assert finished.seconds >= interrupted.seconds
    assert finished.started == interrupted.started


def test_another_configuration_is_refused_with_the_keys_that_differ(tmp_path):
    path = tmp_path / "run.json"
    refuse_other_configuration(path, {"seed": 1})
    with recording("collect", path, {"seed": 1, "world": "bins", "size": (64, 64)}):
        pass
    refuse_other_configuration(path, {"seed": 1, "world": "bins", "size": (64, 64)})
    with pytest.raises(UserError, match="seed is 1 there and 2 here"):
        refuse_other_configuration(path, {"seed": 2, "world": "bins", "size": (64, 64)})
