"""Learners by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from thresher.episodes.errors import UserError
from thresher.offline_rl.registry import learner_class, learner_names, make_config


def test_every_learner_and_its_config_can_be_loaded():
    for name in learner_names():
        assert make_config(name, {}) == make_config(name, {})
        assert learner_class(name).name == name


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("qtopt", {}, "unknown learner 'qtopt': did you mean 'qt-opt'"),
        ("qt-opt", {"filter": 3}, "did you mean 'filters'"),
        ("qt-opt", {"network": "projecte"}, "did you mean 'projected'"),
        ("qt-opt", {"discount": 1.5}, r"discount must be in \(0, 1\], not 1.5"),
        ("qt-opt", {"n_step": 0}, "n_step must be at least 1"),
        ("qt-opt", {"act_elites": 65}, "act_elites must be from 1 to act_samples = 64"),
    ],
)
def test_what_cannot_be_is_told_what_can(name, settings, message):
    with pytest.raises(UserError, match=message):
        make_config(name, settings)


def test_asking_for_names_imports_nothing_heavy():
    script = (
        "import sys, thresher.offline_rl.registry as r; r.learner_names(); "
        "r.make_config('qt-opt', {}); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
