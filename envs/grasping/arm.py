"""What carries and closes the gripper: the one difference between two bodies."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Arm(Protocol):
    """Moves the two-finger gripper, pointing down, by x, y, z and yaw.

    All poses are float64 [4]: place of the fingertips' centre in metres and yaw in
    radians; at yaw 0 the fingers close along y.

    Attributes:
      reach: Radius about the gripper's axis, in metres, that stays free of objects
        where `Simulation` puts the arm somewhere without simulating the way.
      height: Of that cylinder above the fingertips, in metres.
    """

    reach: float
    height: float

    @property
    def pose(self) -> np.ndarray:
        """Where the gripper is."""
        ...

    @property
    def opening(self) -> float:
        """Distance between the pads in metres."""
        ...

    def place(self, pose: np.ndarray) -> None:
        """Puts the gripper somewhere at once."""
        ...

    def hold(self, pose: np.ndarray) -> None:
        """Sets the motors towards a pose for the next physics step."""
        ...

    def open_fingers(self) -> None:
        """Puts the fingers apart at once, and holds them there."""
        ...

    def close_fingers(self) -> None:
        """Lets the fingers close until something stops them."""
        ...

    def spread_fingers(self, opening: float) -> None:
        """Lets the fingers move to a distance of the pads, in metres."""
        ...
