"""A late observation is what would have been seen that much earlier."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.latency import DelayLine
from thresher.envs.grasping.world import BinGrasping


@given(steps=st.floats(0, 12), moves=st.integers(0, 20))
def test_what_arrives_was_sensed_that_much_earlier(steps, moves):
    def at(time):
        return {"time": np.array(max(0.0, time))}

    line = DelayLine(steps, at(0))
    for step in range(moves):
        assert 0 < line.moment <= 1
        arrived = line.after(at(step + line.moment))["time"]
        assert arrived == pytest.approx(max(0.0, step + 1 - steps), abs=1e-9)


def _heights(scene_cache, monkeypatch, latency):
    """What is seen while going straight down in free air."""
    monkeypatch.setenv("THRESHER_CACHE", str(scene_cache))
    ranges = {"latency": (latency, latency)}
    world = BinGrasping(bank_size=100, randomise=ranges)
    first, info = world.reset(seed=2)
    assert info["environment"]["latency"] == latency
    down = np.array([0, 0, -0.3, 0, -1], np.float32)
    seen = [first, *(world.step(down)[0] for _ in range(3))]
    world.close()
    return seen


def test_whole_steps_are_late_by_whole_steps(scene_cache, monkeypatch):
    now = _heights(scene_cache, monkeypatch, 0)
    late = _heights(scene_cache, monkeypatch, 1)
    for step in range(1, 4):
        for name in ("image", "gripper_height", "gripper_planar_pose"):
            np.testing.assert_array_equal(late[step][name], now[step - 1][name])
    # The clock is the robot's own.
    assert late[3]["episode_fraction"] == now[3]["episode_fraction"] == 0.25


def test_parts_of_steps_are_seen_on_the_way(scene_cache, monkeypatch):
    fall = 0.3 * c.ACTION_SCALE[2]
    for latency, parts in ((0.5, [0, 0.5, 1.5, 2.5]), (1.5, [0, 0, 0.5, 1.5])):
        seen = _heights(scene_cache, monkeypatch, latency)
        heights = [float(s["gripper_height"][0]) for s in seen]
        expected = [c.START_HEIGHT - part * fall for part in parts]
        # A millimetre: how far motors lag behind, where the motion is simulated.
        np.testing.assert_allclose(heights, expected, atol=1e-3)


def test_a_simulated_motion_is_seen_on_the_way_too(scene_cache, monkeypatch):
    """Down among the objects, where nothing is put in place but driven there."""
    monkeypatch.setenv("THRESHER_CACHE", str(scene_cache))
    world = BinGrasping(bank_size=100, randomise={"latency": (0.5, 0.5)})
    for seed in range(10):
        world.reset(seed=seed)
        pose = world.privileged_state().gripper_pose
        world._simulation.place(np.array([*pose[:2], 0.1, pose[3]]))
        world._simulation._still = False
        seen = world.step(np.array([0, 0, -0.4, 0, -1], np.float32))[0]
        assert float(seen["gripper_height"][0]) == pytest.approx(0.09, abs=0.003)
    world.close()
