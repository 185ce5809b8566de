"""A run folder is of one configuration."""

from __future__ import annotations

import json

import pytest

from thresher.episodes.errors import UserError
from thresher.offline_rl.run_directory import open_run_directory

CONFIG = {"seed": 1, "settings": {"filters": 8, "shape": (1, 2)}}


def test_the_same_configuration_goes_on(tmp_path):
    open_run_directory(tmp_path / "run", CONFIG)
    open_run_directory(tmp_path / "run", CONFIG)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["seed"] == 1


def test_another_is_refused_with_every_difference(tmp_path):
    open_run_directory(tmp_path / "run", CONFIG)
    other = {"seed": 2, "settings": {"filters": 16, "shape": (1, 2)}}
    with pytest.raises(
        UserError, match="seed was 1 and is now 2; settings.filters was 8 and is now 16"
    ):
        open_run_directory(tmp_path / "run", other)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "holiday.jpg").write_text("")
    with pytest.raises(UserError, match=r"holds other files \(holiday.jpg\)"):
        open_run_directory(tmp_path, CONFIG)
