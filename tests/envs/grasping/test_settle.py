"""Scenes are settled once, by whoever asks, into the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

from thresher.envs.grasping.objects import object_numbers
from thresher.envs.grasping.scene_bank import SceneBank
from thresher.envs.grasping.settle import prepare

BANK = SceneBank("eval", 3, 200)


def _run(script, cache):
    """Runs a script as a user would; returns what it printed."""
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "THRESHER_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_helpers_settle_what_this_process_would(tmp_path, monkeypatch):
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / "helpers"))
    prepare(BANK)
    helped = [BANK.chunk_file(chunk).read_bytes() for chunk in range(2)]
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / "alone"))
    BANK.settle_chunk(1)
    assert BANK.chunk_file(1).read_bytes() == helped[1]


def test_only_what_is_missing_is_settled(tmp_path, monkeypatch):
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path))
    first = SceneBank("eval", 3, 100)
    prepare(first)
    written = first.chunk_file(0).stat().st_mtime_ns
    prepare(first)
    assert first.chunk_file(0).stat().st_mtime_ns == written


def test_a_worker_of_somebodys_pool_may_settle(tmp_path):
    """As in vectorised environments, whose daemonic workers may start no pool."""
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing\n"
        "from thresher.envs.grasping.scene_bank import SceneBank\n"
        "from thresher.envs.grasping.settle import prepare\n"
        "def work():\n"
        "    prepare(SceneBank('eval', 3, 200))\n"
        "    print('settled')\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    worker = context.Process(target=work, daemon=True)\n"
        "    worker.start()\n"
        "    worker.join()\n"
    )
    assert _run(script, tmp_path) == ["settled"]


def test_a_script_without_a_main_guard_may_settle(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from thresher.envs.grasping.scene_bank import SceneBank\n"
        "from thresher.envs.grasping.settle import prepare\n"
        "prepare(SceneBank('eval', 4, 200))\n"
        "print('settled')\n"
    )
    assert _run(script, tmp_path) == ["settled"]


def test_scenes_rest_inside_the_tray(tmp_path, monkeypatch):
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path))
    for index in range(20):
        scene = SceneBank("train", 3, 100).scene(index)
        assert set(scene.numbers) <= set(object_numbers("train"))
        assert np.abs(scene.positions[:, :2]).max() < 0.175
        assert len(set(scene.numbers)) == 3


def test_a_scene_settled_alone_is_the_one_in_the_bank(tmp_path, monkeypatch):
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path))
    bank = SceneBank("train", 3, 100)
    alone = [bank.scene(index) for index in (97, 3)]
    assert not bank.folder.exists()
    bank.settle_chunk(0)
    for scene, index in zip(alone, (97, 3)):
        kept = bank.scene(index)
        assert scene.name == kept.name
        for part in ("numbers", "positions", "orientations"):
            np.testing.assert_array_equal(getattr(scene, part), getattr(kept, part))
