"""From points in the world to features of an image."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from thresher.envs.grasping.geometry import GraspGeometry
from thresher.offline_rl.qt_opt.projection import project, read_map, square_grid


def test_a_grid_is_centred_and_spaced():
    grid = square_grid(3, 0.02)
    assert grid.shape == (9, 2)
    np.testing.assert_allclose(grid.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.unique(grid), [-0.02, 0, 0.02])
    np.testing.assert_array_equal(square_grid(1, 0.02), [[0, 0]])


def test_projection_agrees_with_the_worlds_geometry():
    rng = np.random.default_rng(0)
    projection = rng.normal(size=(3, 4))
    projection[2] = [0.1, 0.2, 0.3, 5.0]
    geometry = GraspGeometry(
        projection=projection,
        action_scale=np.ones(4),
        workspace_low=-np.ones(3),
        workspace_high=np.ones(3),
        floor_height=0.0,
    )
    points = rng.uniform(-1, 1, size=(4, 5, 6, 3))
    found = project(projection.astype(np.float32), tf.constant(points, tf.float32))
    np.testing.assert_allclose(found, geometry.project(points), atol=1e-5)


def _ramp(height=4, width=8):
    """A map whose two channels are the column and the row of each cell."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return tf.constant(np.stack([columns, rows], axis=-1)[None], tf.float32)


@pytest.mark.parametrize(
    ("place", "cell"),
    [
        ((0.5, 0.5), (3.5, 1.5)),  # the middle of the image
        ((0.0625, 0.125), (0.0, 0.0)),  # centre of the upper left cell
        ((0.9375, 0.875), (7.0, 3.0)),  # centre of the lower right one
        ((0.25, 0.625), (1.5, 2.0)),
        ((-3.0, 9.0), (0.0, 3.0)),  # outside: the nearest border
    ],
)
def test_maps_are_read_between_their_cells(place, cell):
    found = read_map(_ramp(), tf.constant([[[place]]], tf.float32))
    np.testing.assert_allclose(found[0, 0], cell, atol=1e-6)


def test_each_image_of_a_batch_is_read_for_itself():
    maps = tf.concat([_ramp(), _ramp() + 100.0], axis=0)
    places = tf.constant([[[[0.5, 0.5]], [[0.0625, 0.125]]]] * 2, tf.float32)
    found = read_map(maps, places)
    assert found.shape == (2, 2, 2)
    np.testing.assert_allclose(found[1] - found[0], 100.0)


def test_points_of_one_action_come_side_by_side():
    places = tf.constant([[[[0.0625, 0.125], [0.9375, 0.875]]]], tf.float32)
    np.testing.assert_allclose(read_map(_ramp(), places)[0, 0], [0, 0, 7, 3], atol=1e-6)
