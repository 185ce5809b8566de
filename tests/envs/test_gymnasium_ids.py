"""Gymnasium makes our worlds by name, and imports what it needs for that."""

from __future__ import annotations

import os
import subprocess
import sys


def test_gymnasium_makes_the_world_by_its_name(scene_cache):
    script = (
        "import gymnasium\n"
        "env = gymnasium.make(\n"
        "    'thresher.envs.gymnasium_ids:thresher/BinGrasping-v0', bank_size=100\n"
        ")\n"
        "observation, info = env.reset(seed=1)\n"
        "print(env.observation_space.contains(observation), env.spec.id)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "THRESHER_CACHE": str(scene_cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["True", "thresher/BinGrasping-v0"], done.stderr
