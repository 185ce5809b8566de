"""No executed action leaves the limits, whatever is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.safety import SafetyLimits, require_action
from thresher.envs.grasping.world import BinGrasping
from thresher.episodes.errors import UserError

SCALE = np.array(c.ACTION_SCALE)
_ANY = st.floats(-1e6, 1e6, width=32)
_ACTIONS = st.lists(_ANY, min_size=5, max_size=5).map(np.array)
_PART = st.floats(0, 1)


@st.composite
def limits(draw):
    """Limits anywhere within the world's own."""

    def between(low, high):
        return min(high, low + draw(_PART) * (high - low))

    low = [between(a, b) for a, b in zip(c.WORKSPACE_LOW, c.WORKSPACE_HIGH)]
    high = [between(a, b) for a, b in zip(low, c.WORKSPACE_HIGH)]
    return SafetyLimits(
        low=tuple(low),
        high=tuple(high),
        max_yaw=between(0, c.MAX_YAW),
        max_speed=tuple(between(0, speed) for speed in c.MAX_SPEED),
        max_yaw_rate=between(0, c.MAX_YAW_RATE),
        floor=between(0, high[2]),
    )


def _fastest(limits):
    return np.array([*limits.max_speed, limits.max_yaw_rate]) * c.STEP_SECONDS


@settings(max_examples=300, deadline=None)
@given(action=_ACTIONS, limits=limits(), place=st.tuples(*[_PART] * 4))
def test_no_executed_action_leaves_the_limits(action, limits, place):
    low = np.array([*limits.low, -limits.max_yaw])
    high = np.array([*limits.high, limits.max_yaw])
    pose = low + np.array(place) * (high - low)
    executed = limits.safe_action(require_action(action), pose)
    assert executed.dtype == np.float32
    assert (np.abs(executed) <= 1).all()
    after = pose + executed[:4] * SCALE
    assert (after >= low - 1e-6).all()
    assert (after <= high + 1e-6).all()
    assert (np.abs(after - pose) <= _fastest(limits) + 1e-6).all()
    if executed[4] > 0:
        assert after[2] >= limits.floor - 1e-6


@settings(max_examples=200, deadline=None)
@given(
    action=st.lists(st.floats(-3, 3), min_size=5, max_size=5).map(np.array),
    other=st.lists(st.floats(-1, 1), min_size=4, max_size=4).map(np.array),
    limits=limits(),
    place=st.tuples(*[_PART] * 4),
)
def test_no_safe_action_is_nearer(action, other, limits, place):
    low = np.array([*limits.low, -limits.max_yaw])
    high = np.array([*limits.high, limits.max_yaw])
    pose = low + np.array(place) * (high - low)
    executed = limits.safe_action(require_action(action), pose)
    moved = pose + other * SCALE
    safe = (moved >= low).all() and (moved <= high).all()
    if safe and (np.abs(other * SCALE) <= _fastest(limits)).all():
        ours = np.linalg.norm(action[:4] - executed[:4])
        assert ours <= np.linalg.norm(action[:4] - other) + 1e-6


@settings(max_examples=100, deadline=None)
@given(action=_ACTIONS, outside=st.tuples(*[st.floats(-0.5, 0.5)] * 4))
def test_who_was_pushed_out_comes_back_at_a_safe_speed(action, outside):
    plain = SafetyLimits()
    executed = plain.safe_action(require_action(action), np.array(outside))
    assert (np.abs(executed) <= 1).all()
    nearest = plain.nearest_pose(np.array(outside))
    before = np.abs(nearest - np.array(outside))
    after = np.array(outside) + executed[:4] * SCALE
    assert (np.abs(plain.nearest_pose(after) - after) <= before + 1e-6).all()
    if after[2] < -1e-6:
        assert executed[4] <= 0


@pytest.mark.parametrize("arm", ["gantry", "kuka"])
def test_the_gripper_itself_stays_inside(arm, scene_cache, monkeypatch):
    """Not only what is asked of the motors: where the physics brings it."""
    monkeypatch.setenv("THRESHER_CACHE", str(scene_cache))
    wanted = {"low": (-0.05, -0.08, 0.02), "high": (0.08, 0.05, 0.18), "max_yaw": 1.0}
    world = BinGrasping(bank_size=100, arm=arm, limits=wanted)
    low = np.array([*wanted["low"], -1.0])
    high = np.array([*wanted["high"], 1.0])
    rng = np.random.default_rng(0)
    for seed in range(15):
        world.reset(seed=seed)
        direction = rng.normal(size=4) * 1e3
        for _ in range(c.MAX_STEPS):
            pose = world.privileged_state().gripper_pose
            # Half a centimetre and a few degrees: what pushing objects costs.
            assert (pose > low - 0.005).all(), pose
            assert (pose < high + 0.005).all(), pose
            world.step(np.array([*direction, -1.0]))
    world.close()


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"lo": (0, 0, 0)}, "unknown safety limit 'lo': did you mean 'low'"),
        ({"low": (-1, 0, 0)}, "low: "),
        ({"high": (0.1, 0.1)}, "must lie between"),
        ({"max_yaw": 9}, "max_yaw: "),
        ({"low": (0.05, 0, 0.01), "high": (0.0, 0.1, 0.1)}, "must lie between"),
        ({"floor": float("nan")}, "floor: "),
    ],
)
def test_limits_that_cannot_be_are_refused(wanted, words):
    with pytest.raises(UserError, match=words):
        SafetyLimits.of(wanted)


def test_below_the_floor_it_does_not_close(scene_cache, monkeypatch):
    monkeypatch.setenv("THRESHER_CACHE", str(scene_cache))
    world = BinGrasping(bank_size=100, limits={"floor": 0.15})
    world.reset(seed=0)
    _, _, terminated, _, info = world.step(np.array([0, 0, -1.0, 0, 1.0]))
    assert not terminated and info["executed_action"][4] == 0
    _, _, terminated, _, info = world.step(np.array([0, 0, 1.0, 0, 1.0]))
    assert terminated and info["executed_action"][4] == 1
    world.close()
