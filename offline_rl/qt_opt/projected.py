"""A Q-network that looks where the gripper would be after the action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from thresher.offline_rl.qt_opt.config import QtOptConfig
from thresher.offline_rl.qt_opt.inputs import action_inputs, image_name
from thresher.offline_rl.qt_opt.layers import SeededLayers
from thresher.offline_rl.qt_opt.projection import project, read_map, square_grid

if TYPE_CHECKING:
    from thresher.envs.grasping.geometry import GraspGeometry

# Where graspable things are: objects lie on the floor and are a few centimetres high.
OBJECT_HEIGHT_M = 0.02


class Features(NamedTuple):
    """An encoded observation: maps [B, h, w, C] and the gripper's state."""

    maps: tuple[tf.Tensor, ...]
    pose: tf.Tensor
    state: tf.Tensor


class ProjectedNetwork(tf.Module):
    """Image features at the gripper's projected pose, then a small head.

    The tower runs once per image. For each action the pose after the motion follows
    from the geometry; a small grid of points in the gripper's frame, at the objects'
    height and at the fingertips', is projected into the image and the feature maps
    are read there. So the network need not learn where an action leads.
    """

    def __init__(self, config: QtOptConfig, geometry: GraspGeometry, seed: int) -> None:
        super().__init__(name="projected_network")
        make = SeededLayers(seed)
        self._fine = [make.convolution(24, 5, 2)]
        self._coarse = [
            make.convolution(config.filters, 3, 2),
            make.convolution(config.filters, 3),
            make.convolution(config.filters, 3),
        ]
        self._head = [
            make.dense(config.hidden_units),
            make.dense(config.hidden_units),
            make.logit(),
        ]
        self._projection = np.asarray(geometry.projection, np.float32)
        self._scale = np.asarray(geometry.action_scale, np.float32)
        self._low = np.asarray(geometry.workspace_low, np.float32)
        self._high = np.asarray(geometry.workspace_high, np.float32)
        self._object_z = np.float32(geometry.floor_height + OBJECT_HEIGHT_M)
        self._grid = square_grid(config.grid_points, config.grid_spacing_m)

    def encode(self, observation: Mapping[str, tf.Tensor]) -> Features:
        """Returns the maps at half and quarter resolution, and the gripper's state."""
        maps = []
        feature_map = observation[image_name(observation)]
        for stage in (self._fine, self._coarse):
            for layer in stage:
                feature_map = layer(feature_map)
            maps.append(feature_map)
        planar, height = (
            observation["gripper_planar_pose"],
            observation["gripper_height"],
        )
        pose = tf.concat([planar[:, :2], height, planar[:, 2:]], axis=-1)
        state = [observation[name] for name in ("gripper_opening", "episode_fraction")]
        return Features(tuple(maps), pose, tf.concat(state, axis=-1))

    def score(self, features: Features, action: tf.Tensor) -> tf.Tensor:
        """Returns Q before the sigmoid, [B, K, A] -> [B, K]."""
        pose = self._pose_after(features.pose, action)
        pixels = project(self._projection, self._points(pose))
        read = [read_map(feature_map, pixels) for feature_map in features.maps]
        hidden = tf.concat(
            [*read, action_inputs(action), self._state(features.state, pose)], axis=-1
        )
        for layer in self._head:
            hidden = layer(hidden)
        return hidden[..., 0]

    def _pose_after(self, pose: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """Returns x, y, z, yaw after the motion, [B, K, 4]."""
        moved = pose[:, None] + action[..., :4] * self._scale
        place = tf.clip_by_value(moved[..., :3], self._low, self._high)
        return tf.concat([place, moved[..., 3:]], axis=-1)

    def _points(self, pose: tf.Tensor) -> tf.Tensor:
        """Returns the grid around the gripper at two heights, [B, K, 2 P, 3]."""
        cos, sin = tf.cos(pose[..., 3:]), tf.sin(pose[..., 3:])
        along, across = self._grid[:, 0], self._grid[:, 1]
        x = pose[..., 0:1] + cos * along - sin * across
        y = pose[..., 1:2] + sin * along + cos * across
        tip = tf.broadcast_to(pose[..., 2:3], tf.shape(x))
        low = tf.fill(tf.shape(x), self._object_z)
        levels = [tf.stack([x, y, z], axis=-1) for z in (low, tip)]
        return tf.concat(levels, axis=-2)

    def _state(self, state: tf.Tensor, pose: tf.Tensor) -> tf.Tensor:
        """Returns pose and state in comparable sizes, [B, K, 7]."""
        span = (self._high - self._low) / 2
        place = (pose[..., :3] - (self._low + self._high) / 2) / span
        # The gripper looks the same after half a turn.
        turn = 2 * pose[..., 3:]
        state = tf.repeat(state[:, None], tf.shape(pose)[1], axis=1)
        return tf.concat([place, tf.sin(turn), tf.cos(turn), state], axis=-1)
