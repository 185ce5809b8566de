"""Long units tell how far they are, and leave nothing behind."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest

from thresher.pipelines import unit_progress
from thresher.pipelines.arrivals import Arrivals
from thresher.pipelines.unit_progress import progress_file, telling, told_progress


@dataclasses.dataclass(frozen=True)
class _Unit:
    path: Path
    size: int = 100

    def run(self) -> None:
        raise NotImplementedError


@pytest.fixture
def unit(tmp_path, monkeypatch):
    monkeypatch.setattr(unit_progress, "_SECONDS", 0.01)
    return _Unit(tmp_path / "one")


def _told(unit):
    """Waits until a unit tells something, and returns it."""
    for _ in range(1000):
        if told := told_progress(unit):
            return told
        threading.Event().wait(0.01)
    raise AssertionError("nothing was told")


def test_a_unit_tells_how_far_it_is_until_it_ends(unit):
    assert told_progress(unit) == 0
    with telling(unit, lambda: 40):
        assert _told(unit) == 40
    assert list(unit.path.parent.iterdir()) == []


def test_that_all_is_done_is_said_by_its_file_alone(unit):
    with telling(unit, lambda: 400):
        assert _told(unit) == 99


def test_a_unit_that_fails_leaves_nothing_behind(unit):
    def fail():
        with telling(unit, lambda: 40):
            _told(unit)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert list(unit.path.parent.iterdir()) == []


def test_a_unit_whose_folder_is_gone_does_not_bring_it_back(unit, tmp_path):
    gone = dataclasses.replace(unit, path=tmp_path / "gone" / "one")
    with telling(gone, lambda: 40):
        threading.Event().wait(0.1)
    assert not gone.path.parent.exists()


@pytest.mark.parametrize("text", ["", "4x", "-3"])
def test_what_is_no_number_tells_nothing(unit, text):
    progress_file(unit).write_text(text)
    assert told_progress(unit) == 0


def test_a_stage_sees_the_parts_of_all_units_under_way(tmp_path):
    units = [_Unit(tmp_path / name) for name in "abc"]
    arrivals = Arrivals(units)
    progress_file(units[0]).write_text("30")
    progress_file(units[1]).write_text("5")
    units[2].path.touch()
    assert arrivals.look() == [units[2]]
    assert arrivals.part_done() == 35
    units[0].path.touch()
    assert arrivals.look() == [units[0]]
    assert arrivals.part_done() == 5
    arrivals.forget_progress()
    assert arrivals.part_done() == 0
    assert not progress_file(units[1]).exists()
