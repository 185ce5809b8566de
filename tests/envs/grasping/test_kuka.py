"""The arm goes where the gantry goes, and grasps what it grasps."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.world import BinGrasping
from thresher.envs.registry import make_policy
from thresher.envs.rollout import rollout
from thresher.episodes.errors import UserError


@pytest.fixture
def kuka(scene_cache, monkeypatch):
    monkeypatch.setenv("THRESHER_CACHE", str(scene_cache))
    made = BinGrasping(bank_size=100, arm="kuka")
    yield made
    made.close()


def test_it_reaches_every_corner_of_the_workspace(kuka):
    kuka.reset(seed=0)
    low = [*c.WORKSPACE_LOW, -c.MAX_YAW]
    high = [*c.WORKSPACE_HIGH, c.MAX_YAW]
    for corner in range(16):
        pose = np.array([(low, high)[corner >> i & 1][i] for i in range(4)])
        kuka._simulation.place(pose)
        np.testing.assert_allclose(kuka._simulation.gripper_pose, pose, atol=1e-4)


def test_its_motions_are_those_of_the_gantry(kuka, world):
    rng = np.random.default_rng(0)
    for seed in range(5):
        for each in (kuka, world):
            each.reset(seed=seed)
        for _ in range(4):
            action = np.array([*rng.uniform(-0.6, 0.6, 3), rng.uniform(-1, 1), -1])
            arm, gantry = (each.step(action)[0] for each in (kuka, world))
            for name in ("gripper_planar_pose", "gripper_height", "gripper_opening"):
                np.testing.assert_allclose(arm[name], gantry[name], atol=0.01)


def test_the_oracle_grasps_with_it_and_it_is_in_the_picture(kuka, world):
    policy = make_policy("oracle", kuka)
    runs = [rollout(kuka, policy, 4, n) for n in range(8)]
    assert sum(run.metadata.outcome.episode_return for run in runs) >= 7
    assert runs[0].metadata.robot != world.robot
    assert rollout(kuka, policy, 4, 0).episode_id == runs[0].episode_id
    pose = np.array([0, 0, 0.05, 0])
    pictures = []
    for each in (kuka, world):
        each.reset(seed=1)
        each._simulation.place(pose)
        pictures.append(each.render().astype(int))
    assert (np.abs(pictures[0] - pictures[1]).max(axis=-1) > 30).mean() > 0.05


def test_another_arm_is_refused():
    with pytest.raises(UserError, match="did you mean 'kuka'"):
        BinGrasping(arm="kuko")
