"""Where the camera sees what, and where the gripper may go, as plain numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Mirror:
    """What has the other sign in a left-right mirror image of a world.

    Attributes:
      observation: Signs, +1 or -1, of every entry of the observations that change.
      action: Signs of the action's entries.
    """

    observation: Mapping[str, tuple[float, ...]]
    action: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class GraspGeometry:
    """Camera and workspace of the grasping world.

    Attributes:
      projection: float64 [3, 4] from homogeneous world points (m) to a unit image:
        divide by the third entry; (0, 0) is the upper left corner, (1, 1) the lower
        right one.
      action_scale: Metres and radians that an action of 1 moves: x, y, z, yaw.
      workspace_low: Least x, y, z of the fingertips' centre, in metres.
      workspace_high: Greatest x, y, z.
      floor_height: Height of the tray's floor, in metres.
      mirror: How the mirrored picture's observation and action follow from the
        picture's own; None for a world that looks different in a mirror.
    """

    projection: np.ndarray
    action_scale: np.ndarray
    workspace_low: np.ndarray
    workspace_high: np.ndarray
    floor_height: float
    mirror: Mirror | None = None

    def project(self, points: np.ndarray) -> np.ndarray:
        """Returns fractions of the image [..., 2] of world points [..., 3]."""
        seen = points @ self.projection[:, :3].T + self.projection[:, 3]
        return seen[..., :2] / seen[..., 2:]
