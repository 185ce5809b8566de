"""The KUKA LBR iiwa of pybullet_data with the gripper at its flange.

Slower than the gantry, and part of the picture: for those who want an arm in it. The
gripper is driven through inverse kinematics; grasps mean the same on both bodies.
"""

from __future__ import annotations

import functools
import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from thresher.envs.cache import cache_folder
from thresher.envs.grasping import constants as c
from thresher.envs.grasping.bodies import coloured
from thresher.envs.grasping.bullet import pybullet
from thresher.envs.grasping.gripper import (
    FINGER_HALF,
    FINGERS,
    PAD_COLOUR,
    PALM_COLOUR,
    PALM_HALF,
    Fingers,
)
from thresher.envs.grasping.parameters import Parameters
from thresher.episodes.files import atomic_write

_ARM = tuple(range(7))
# Behind the camera, so that the arm reaches over its shoulder.
_BASE = (0.0, -0.55, 0.0)
# Elbow up, gripper down over the tray's middle: where the search for angles begins.
_READY = (np.pi / 2, 0.4, 0.0, -1.6, 0.0, 1.1, 0.0)
# From link 7's frame to the mounting face of its flange.
_FLANGE = 0.045
_MOTOR_FORCE = 300.0
_SOLVER_ITERATIONS = 100
_SOLVER_RESIDUAL = 1e-6
_MOST_ROUNDS = 20
_METRES_OFF = 1e-5
_RADIANS_OFF = 1e-4


class KukaArm:
    """Seven joints; poses by inverse kinematics from where the arm is."""

    # The flange and the last links are wider than the gripper.
    reach = 0.07
    height = 0.25

    def __init__(self, client: int, parameters: Parameters) -> None:
        self._client = client
        self._body: int = pybullet.loadURDF(
            str(_description()),
            basePosition=_BASE,
            useFixedBase=True,
            physicsClientId=client,
        )
        joints = _joint_numbers(self._body, client)
        self._tip = joints["tip"]
        fingers = (joints["left_finger"], joints["right_finger"])
        self._fingers = Fingers(client, self._body, fingers, parameters)
        self._paint(fingers, joints["palm"], parameters)
        self._set_joints(_READY)

    @property
    def pose(self) -> np.ndarray:
        """Where the gripper is."""
        place, turn = self._tip_pose()
        yaw = pybullet.getEulerFromQuaternion(turn)[2]
        return np.array([*place, yaw])

    @property
    def opening(self) -> float:
        """Distance between the pads in metres."""
        return self._fingers.opening

    def place(self, pose: np.ndarray) -> None:
        """Puts the gripper somewhere at once.

        Raises:
          RuntimeError: The arm cannot get there; no pose of the workspace is such.
        """
        self._set_joints(_READY)
        for _ in range(_MOST_ROUNDS):
            self._set_joints(self._angles(pose))
            off = np.abs(self.pose - pose)
            if off[:3].max() < _METRES_OFF and off[3] < _RADIANS_OFF:
                return
        raise RuntimeError(f"the arm cannot reach {pose.tolist()}: {off.tolist()} off")

    def hold(self, pose: np.ndarray) -> None:
        """Sets the motors towards a pose."""
        pybullet.setJointMotorControlArray(
            self._body,
            _ARM,
            pybullet.POSITION_CONTROL,
            targetPositions=self._angles(pose),
            forces=[_MOTOR_FORCE] * len(_ARM),
            positionGains=[c.POSITION_GAIN] * len(_ARM),
            velocityGains=[1.0] * len(_ARM),
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

    def _angles(self, pose: np.ndarray) -> list[float]:
        found = pybullet.calculateInverseKinematics(
            self._body,
            self._tip,
            pose[:3].tolist(),
            pybullet.getQuaternionFromEuler((0, 0, float(pose[3]))),
            maxNumIterations=_SOLVER_ITERATIONS,
            residualThreshold=_SOLVER_RESIDUAL,
            physicsClientId=self._client,
        )
        return list(found[: len(_ARM)])

    def _tip_pose(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        state = pybullet.getLinkState(
            self._body,
            self._tip,
            computeForwardKinematics=True,
            physicsClientId=self._client,
        )
        return state[4], state[5]

    def _set_joints(self, angles: Sequence[float]) -> None:
        for joint, angle in zip(_ARM, angles):
            pybullet.resetJointState(
                self._body, joint, angle, 0.0, physicsClientId=self._client
            )

    def _paint(self, fingers: Sequence[int], palm: int, parameters: Parameters) -> None:
        shift = parameters.colour_shifts[1:2]
        for link, colour in ((palm, PALM_COLOUR), *((f, PAD_COLOUR) for f in fingers)):
            pybullet.changeVisualShape(
                self._body,
                link,
                rgbaColor=coloured(colour, shift),
                physicsClientId=self._client,
            )


def _joint_numbers(body: int, client: int) -> dict[str, int]:
    count = pybullet.getNumJoints(body, physicsClientId=client)
    facts = [
        pybullet.getJointInfo(body, joint, physicsClientId=client)
        for joint in range(count)
    ]
    return {fact[12].decode(): fact[0] for fact in facts}


@functools.cache
def _description() -> Path:
    """Returns the URDF of arm and gripper; makes it once."""
    import pybullet_data

    folder = Path(pybullet_data.getDataPath()) / "kuka_iiwa"
    robot = ET.parse(folder / "model.urdf").getroot()
    for mesh in robot.iter("mesh"):
        mesh.set("filename", str(folder / mesh.get("filename", "")))
    _add_gripper(robot)
    text = ET.tostring(robot, encoding="unicode")
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = cache_folder() / "arms" / f"kuka-{digest}.urdf"
    if not path.exists():
        atomic_write(path, text)
    return path


def _add_gripper(robot: ET.Element) -> None:
    """Hangs palm, fingers and the tip's frame below the flange, z up again."""
    _add_link(robot, "palm", 0.5, PALM_HALF)
    above = (0.0, 0.0, _FLANGE + c.PALM_HEIGHT / 2)
    _add_joint(
        robot, "fixed", "lbr_iiwa_link_7", "palm", above, rpy="3.14159265358979 0 0"
    )
    for side, (place, axis) in zip(("left", "right"), FINGERS):
        name = f"{side}_finger"
        _add_link(robot, name, c.FINGER_MASS, FINGER_HALF)
        joint = _add_joint(robot, "prismatic", "palm", name, place)
        ET.SubElement(joint, "axis", xyz=" ".join(map(str, axis)))
        ET.SubElement(
            joint,
            "limit",
            lower="0",
            upper=str(c.OPENING / 2),
            effort=str(c.FINGER_FORCE),
            velocity="10",
        )
    _add_link(robot, "tip", 0.001, None)
    below = (0.0, 0.0, -(c.PALM_HEIGHT / 2 + c.FINGER_LENGTH))
    _add_joint(robot, "fixed", "palm", "tip", below)


def _add_link(
    robot: ET.Element, name: str, mass: float, half: Sequence[float] | None
) -> None:
    link = ET.SubElement(robot, "link", name=name)
    inertial = ET.SubElement(link, "inertial")
    ET.SubElement(inertial, "mass", value=str(mass))
    moments = dict.fromkeys(("ixx", "iyy", "izz"), str(mass * 1e-3))
    ET.SubElement(inertial, "inertia", {**moments, "ixy": "0", "ixz": "0", "iyz": "0"})
    if half is not None:
        size = " ".join(str(2 * extent) for extent in half)
        for purpose in ("visual", "collision"):
            shape = ET.SubElement(ET.SubElement(link, purpose), "geometry")
            ET.SubElement(shape, "box", size=size)


def _add_joint(
    robot: ET.Element,
    kind: str,
    parent: str,
    child: str,
    place: Sequence[float],
    rpy: str = "0 0 0",
) -> ET.Element:
    joint = ET.SubElement(robot, "joint", name=f"{child}_joint", type=kind)
    ET.SubElement(joint, "parent", link=parent)
    ET.SubElement(joint, "child", link=child)
    ET.SubElement(joint, "origin", xyz=" ".join(map(str, place)), rpy=rpy)
    return joint
