"""A folder of recordings may be looked into: the first one, which is told."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from thresher.benchmarks.sound_logs import (
    arm_rows,
    write_json_mcap,
    write_ros1_bag,
    write_ros2_bag,
)
from thresher.cli import app
from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.formats import one_recording

_NUMBERS = [("/x", 0.1 * k, [float(k)]) for k in range(3)]


def test_one_recording_is_itself(tmp_path):
    file = write_json_mcap(tmp_path / "a.mcap", arm_rows(3))
    assert one_recording(file) == (file, [])
    bag = write_ros2_bag(tmp_path / "bag", _NUMBERS)
    assert one_recording(bag) == (bag, [])


def test_of_a_folder_it_is_the_first(tmp_path):
    for name in "ba":
        write_json_mcap(tmp_path / f"{name}.mcap", arm_rows(3))
    found, told = one_recording(tmp_path)
    assert found == tmp_path / "a.mcap"
    assert told == [f"{tmp_path} has 2 recordings in it; this is a.mcap"]


def test_bags_that_look_like_one_that_was_split_are_told(tmp_path):
    for number in range(2):
        write_ros1_bag(tmp_path / f"run_{number}.bag", _NUMBERS)
    found, told = one_recording(tmp_path)
    assert found == tmp_path / "run_0.bag"
    assert "ros1_split" in told[1]
    assert one_recording(tmp_path, "ros1_split") == (tmp_path, [])


def test_a_folder_without_any_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no recording"):
        one_recording(tmp_path)


@pytest.mark.parametrize("words", [["inspect"], ["ingest", "--suggest"]])
def test_the_commands_take_folders(tmp_path, words):
    write_json_mcap(tmp_path / "a.mcap", arm_rows(3))
    done = CliRunner().invoke(app, [*words, str(tmp_path)])
    assert done.exit_code == 0
    assert "has 1 recordings in it; this is a.mcap" in done.output
    assert "/state" in done.output
