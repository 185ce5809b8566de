"""The camera is where its geometry says, and stands in the mirror's plane."""

from __future__ import annotations

import numpy as np

from thresher.envs.grasping.camera import grasp_geometry


def test_a_mirrored_point_is_seen_at_the_mirrored_place():
    geometry = grasp_geometry()
    points = np.random.default_rng(0).uniform(-0.1, 0.1, (50, 3))
    seen = geometry.project(points)
    mirrored = geometry.project(points * [-1, 1, 1])
    np.testing.assert_allclose(mirrored[:, 0], 1 - seen[:, 0], atol=1e-6)
    np.testing.assert_allclose(mirrored[:, 1], seen[:, 1], atol=1e-6)


def test_the_mirror_says_the_same_of_pose_and_motion():
    mirror = grasp_geometry().mirror
    assert mirror.observation["gripper_planar_pose"] == (-1, 1, -1)
    assert mirror.action == (-1, 1, 1, -1, 1)


def test_the_gripper_is_seen_where_the_projection_puts_it(world):
    """What differs between two pictures of one scene lies around the gripper's ways."""
    world.reset(seed=3)
    before = world.render().astype(int)
    moved, *_ = world.step(np.array([1, 0, -1, 0, -1], np.float32))
    changed = np.abs(moved["image"] - before).sum(axis=-1) > 60
    rows, columns = np.nonzero(changed)
    x, y, _ = moved["gripper_planar_pose"]
    tip = grasp_geometry().project(np.array([x, y, moved["gripper_height"][0]]))
    size = before.shape[0]
    assert columns.min() - 2 <= tip[0] * size <= columns.max() + 2
    assert rows.min() - 2 <= tip[1] * size <= rows.max() + 2
