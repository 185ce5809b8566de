"""Cuts what a policy asks for to the nearest thing that is safe to do."""

from __future__ import annotations

import numpy as np

from thresher.envs.grasping import constants as c

_SCALE = np.array(c.ACTION_SCALE)
_LOW = np.array([*c.WORKSPACE_LOW, -c.MAX_YAW])
_HIGH = np.array([*c.WORKSPACE_HIGH, c.MAX_YAW])


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


def safe_action(commanded: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Returns the nearest action that keeps speeds and the workspace.

    Args:
      commanded: [5], finite, in units of the action scale.
      pose: Gripper's x, y, z, yaw now.

    Returns:
      float32 [5] in [-1, 1]; pose + motion lies in the workspace. Where the gripper
      is outside (pushed by an object), it moves back in as fast as it may.
    """
    motion = np.clip(commanded[:4], -1.0, 1.0) * _SCALE
    inside = np.clip(pose + motion, _LOW, _HIGH) - pose
    close = np.clip(commanded[4:], -1.0, 1.0)
    return np.concatenate([np.clip(inside / _SCALE, -1.0, 1.0), close]).astype(
        np.float32
    )
