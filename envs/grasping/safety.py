"""Cuts what a policy asks for to the nearest thing that is safe to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Union

import numpy as np

from thresher.envs.grasping import constants as c
from thresher.episodes.errors import UserError, unknown_name

_SCALE = np.array(c.ACTION_SCALE)


@dataclasses.dataclass(frozen=True)
class SafetyLimits:
    """Where the gripper may go, how fast, and where it may close.

    All limits are per axis, so the safe actions are a box and the nearest safe one is
    found by clipping.

    Attributes:
      low: Least x, y, z of the fingertips' centre, metres.
      high: Greatest.
      max_yaw: Greatest yaw either way, radians.
      max_speed: Along x, y, z, m/s.
      max_yaw_rate: rad/s.
      floor: Height below which the fingers never close, metres.

    Raises:
      UserError: Limits beyond the world's own, or that leave no room.
    """

    low: tuple[float, ...] = c.WORKSPACE_LOW
    high: tuple[float, ...] = c.WORKSPACE_HIGH
    max_yaw: float = c.MAX_YAW
    max_speed: tuple[float, ...] = c.MAX_SPEED
    max_yaw_rate: float = c.MAX_YAW_RATE
    floor: float = 0.0

    def __post_init__(self) -> None:
        _require("low", self.low, c.WORKSPACE_LOW, self.high)
        _require("high", self.high, self.low, c.WORKSPACE_HIGH)
        _require("max_yaw", [self.max_yaw], [0], [c.MAX_YAW])
        _require("max_speed", self.max_speed, [0] * 3, c.MAX_SPEED)
        _require("max_yaw_rate", [self.max_yaw_rate], [0], [c.MAX_YAW_RATE])
        _require("floor", [self.floor], [0], [self.high[2]])

    @classmethod
    def of(cls, wanted: Union[Mapping[str, Any], SafetyLimits, None]) -> SafetyLimits:
        """Returns limits given as such, by name, or not at all.

        Raises:
          UserError: There is no limit of a name, or limits that cannot be.
        """
        if isinstance(wanted, SafetyLimits):
            return wanted
        known = [field.name for field in dataclasses.fields(cls)]
        for name in wanted or {}:
            if name not in known:
                raise unknown_name("safety limit", name, known)
        return cls(**(wanted or {}))

    def nearest_pose(self, pose: np.ndarray) -> np.ndarray:
        """Returns the pose [4] of the workspace that is nearest to a pose."""
        low = np.array([*self.low, -self.max_yaw])
        return np.clip(pose, low, np.array([*self.high, self.max_yaw]))

    def safe_action(self, commanded: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """Returns the nearest action that keeps all limits.

        Args:
          commanded: [5], finite, in units of the action scale.
          pose: Gripper's x, y, z, yaw now.

        Returns:
          float32 [5] in [-1, 1]; pose + motion lies in the workspace. Where the
          gripper is outside (pushed by an object), it moves back in as fast as it
          may, and does not close before it is above the floor.
        """
        fastest = np.array([*self.max_speed, self.max_yaw_rate]) * c.STEP_SECONDS
        motion = np.clip(commanded[:4] * _SCALE, -fastest, fastest)
        there = self.nearest_pose(pose + motion)
        inside = np.clip(there - pose, -fastest, fastest)
        below = pose[2] + inside[2] < self.floor
        close = np.clip(commanded[4:], -1.0, 0.0 if below else 1.0)
        return np.clip(np.concatenate([inside / _SCALE, close]), -1, 1).astype(
            np.float32
        )


def require_action(action: np.ndarray) -> np.ndarray:
    """Returns a commanded action as float32 [5].

    Raises:
      ValueError: It is not five finite numbers.
    """
    array = np.asarray(action, dtype=np.float32)
    if array.shape != (5,):
        raise ValueError(f"an action is 5 numbers, not an array {list(array.shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"an action must be finite, not {array.tolist()}")
    return array


def _require(name: str, values: Any, least: Any, most: Any) -> None:
    array, low, high = (np.asarray(x, dtype=float) for x in (values, least, most))
    same_shape = array.shape == low.shape == high.shape
    if not same_shape or not ((array >= low) & (array <= high)).all():
        raise UserError(
            f"safety limit {name}: {values} must lie between {least} and {most}"
        )
