"""The gripper: a palm and two fingers of boxes, the same on every arm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.bullet import pybullet
from thresher.envs.grasping.parameters import Parameters

PALM_COLOUR = (0.25, 0.27, 0.3)
PAD_COLOUR = (0.12, 0.12, 0.13)
PALM_HALF = (c.PAD_WIDTH / 2, c.OPENING / 2 + c.FINGER_THICKNESS, c.PALM_HEIGHT / 2)
FINGER_HALF = (c.PAD_WIDTH / 2, c.FINGER_THICKNESS / 2, c.FINGER_LENGTH / 2)
# From the fingertips' centre, in the gripper's frame.
PALM_CENTRE = (0.0, 0.0, c.FINGER_LENGTH + c.PALM_HEIGHT / 2)
# From the palm's centre: where a finger is, and which way its joint opens it.
FINGERS = (
    ((0.0, c.FINGER_THICKNESS / 2, -(c.PALM_HEIGHT + c.FINGER_LENGTH) / 2), (0, 1, 0)),
    (
        (0.0, -c.FINGER_THICKNESS / 2, -(c.PALM_HEIGHT + c.FINGER_LENGTH) / 2),
        (0, -1, 0),
    ),
)


class Fingers:
    """Motors and pads of the two finger joints of some body.

    A finger's joint is its pad's distance from the middle, in metres.
    """

    def __init__(
        self, client: int, body: int, joints: Sequence[int], parameters: Parameters
    ) -> None:
        self._client = client
        self._body = body
        self._joints = list(joints)
        self._force = parameters.finger_force
        self._held_at: float | None = None
        for joint in self._joints:
            pybullet.changeDynamics(
                body,
                joint,
                lateralFriction=parameters.finger_friction,
                spinningFriction=c.FINGER_SPINNING_FRICTION,
                rollingFriction=c.FINGER_ROLLING_FRICTION,
                jointLowerLimit=0.0,
                jointUpperLimit=c.OPENING / 2,
                physicsClientId=client,
            )

    @property
    def opening(self) -> float:
        """Distance between the pads in metres."""
        states = pybullet.getJointStates(
            self._body, self._joints, physicsClientId=self._client
        )
        return float(np.array([state[0] for state in states]).sum())

    def open(self) -> None:
        """Puts the fingers apart at once."""
        self._held_at = c.OPENING
        for joint in self._joints:
            pybullet.resetJointState(
                self._body, joint, c.OPENING / 2, 0.0, physicsClientId=self._client
            )

    def close(self) -> None:
        """Lets them close until something stops them."""
        self._held_at = None
        pybullet.setJointMotorControlArray(
            self._body,
            self._joints,
            pybullet.VELOCITY_CONTROL,
            targetVelocities=[-c.CLOSE_SPEED] * 2,
            forces=[self._force] * 2,
            physicsClientId=self._client,
        )

    def spread(self, opening: float) -> None:
        """Lets them move to a distance of the pads, in metres."""
        self._held_at = opening
        self.hold()

    def hold(self) -> None:
        """Holds them where they were put, unless they are closing."""
        if self._held_at is None:
            return
        pybullet.setJointMotorControlArray(
            self._body,
            self._joints,
            pybullet.POSITION_CONTROL,
            targetPositions=[self._held_at / 2] * 2,
            forces=[self._force] * 2,
            physicsClientId=self._client,
        )
