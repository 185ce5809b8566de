"""The gantry: four joints that carry the gripper and nothing that hides the view.

The fastest body that can do the task: no inverse kinematics, no links to collide.
"""

from __future__ import annotations

import numpy as np

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.bodies import box, coloured
from thresher.envs.grasping.bullet import pybullet
from thresher.envs.grasping.gripper import (
    FINGER_HALF,
    FINGERS,
    PAD_COLOUR,
    PALM_CENTRE,
    PALM_COLOUR,
    PALM_HALF,
    Fingers,
)
from thresher.envs.grasping.parameters import Parameters

_CARRIAGE = (0, 1, 2, 3)
_FINGERS = (4, 5)


class Gantry:
    """Joints x, y, z, yaw; all at zero put the fingertips at the world's origin."""

    # At any yaw the gripper stays within its diagonal.
    reach = float(np.hypot(PALM_HALF[0], PALM_HALF[1]))
    height = c.FINGER_LENGTH + c.PALM_HEIGHT

    def __init__(self, client: int, parameters: Parameters) -> None:
        self._client = client
        self._body = _make(client, parameters)
        self._fingers = Fingers(client, self._body, _FINGERS, parameters)

    @property
    def pose(self) -> np.ndarray:
        """Where the gripper is."""
        states = pybullet.getJointStates(
            self._body, _CARRIAGE, physicsClientId=self._client
        )
        return np.array([state[0] for state in states])

    @property
    def opening(self) -> float:
        """Distance between the pads in metres."""
        return self._fingers.opening

    def place(self, pose: np.ndarray) -> None:
        """Puts the gripper somewhere at once."""
        for joint in _CARRIAGE:
            pybullet.resetJointState(
                self._body, joint, float(pose[joint]), 0.0, physicsClientId=self._client
            )

    def hold(self, pose: np.ndarray) -> None:
        """Sets the motors towards a pose."""
        pybullet.setJointMotorControlArray(
            self._body,
            _CARRIAGE,
            pybullet.POSITION_CONTROL,
            targetPositions=pose.tolist(),
            forces=[c.CARRIAGE_FORCE] * len(_CARRIAGE),
            positionGains=[c.POSITION_GAIN] * len(_CARRIAGE),
            velocityGains=[1.0] * len(_CARRIAGE),
            physicsClientId=self._client,
        )
        self._fingers.hold()

    def open_fingers(self) -> None:
        """Puts the fingers apart at once."""
        self._fingers.open()

    def close_fingers(self) -> None:
        """Lets the fingers close."""
        self._fingers.close()

    def spread_fingers(self, opening: float) -> None:
        """Lets the fingers move to a distance of the pads."""
        self._fingers.spread(opening)


def _make(client: int, parameters: Parameters) -> int:
    shift = parameters.colour_shifts[1:2]
    palm = box(client, PALM_HALF, coloured(PALM_COLOUR, shift))
    finger = box(client, FINGER_HALF, coloured(PAD_COLOUR, shift))
    slide, turn = pybullet.JOINT_PRISMATIC, pybullet.JOINT_REVOLUTE
    origin, upright = (0, 0, 0), (0, 0, 0, 1)
    (left, opens_left), (right, opens_right) = FINGERS
    body: int = pybullet.createMultiBody(
        0,
        -1,
        -1,
        linkMasses=[1, 1, 1, 1, c.FINGER_MASS, c.FINGER_MASS],
        linkCollisionShapeIndices=[-1, -1, -1, palm[0], finger[0], finger[0]],
        linkVisualShapeIndices=[-1, -1, -1, palm[1], finger[1], finger[1]],
        linkPositions=[origin, origin, PALM_CENTRE, origin, left, right],
        linkOrientations=[upright] * 6,
        linkInertialFramePositions=[origin] * 6,
        linkInertialFrameOrientations=[upright] * 6,
        linkParentIndices=[0, 1, 2, 3, 4, 4],
        linkJointTypes=[slide, slide, slide, turn, slide, slide],
        linkJointAxis=[
            (1, 0, 0),
            (0, 1, 0),
            (0, 0, 1),
            (0, 0, 1),
            opens_left,
            opens_right,
        ],
        physicsClientId=client,
    )
    return body
