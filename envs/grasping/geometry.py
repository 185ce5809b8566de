"""Where the camera sees what, and where the gripper may go, as plain numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


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
    """

    projection: np.ndarray
    action_scale: np.ndarray
    workspace_low: np.ndarray
    workspace_high: np.ndarray
    floor_height: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """Returns fractions of the image [..., 2] of world points [..., 3]."""
        seen = points @ self.projection[:, :3].T + self.projection[:, 3]
        return seen[..., :2] / seen[..., 2:]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers."""
        return {
            field.name: np.asarray(getattr(self, field.name)).tolist()
            for field in dataclasses.fields(self)
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> GraspGeometry:
        """Reads what `to_dict` returned."""
        floor = float(raw["floor_height"])
        arrays = {k: np.array(v) for k, v in raw.items() if k != "floor_height"}
        return cls(floor_height=floor, **arrays)
