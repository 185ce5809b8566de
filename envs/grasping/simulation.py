"""The physics of one tray, one gripper and its objects.

Every episode is loaded anew into an emptied simulation: what was simulated before
cannot change a bit of what follows, and memory stays flat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.bodies import make_gantry, make_object, make_tray
from thresher.envs.grasping.bullet import pybullet
from thresher.envs.grasping.scene import Scene

_CARRIAGE = (0, 1, 2, 3)
_FINGERS = (4, 5)
# Boxes of Bullet's shapes are a little larger than the shapes; this more is safe.
_CLEARANCE = 0.005
_STILL_SPEED = 1e-3
_DESCENT_SECONDS = 0.3


class Simulation:
    """One physics client; `load` puts a scene into it."""

    def __init__(self) -> None:
        self.client = pybullet.connect(pybullet.DIRECT)
        self.objects: list[int] = []
        self._still = True
        self._fingers_open = True

    def close(self) -> None:
        """Frees the client."""
        if self.client >= 0:
            pybullet.disconnect(self.client)
            self.client = -1

    def empty(self) -> None:
        """Leaves nothing but a tray."""
        client = self.client
        pybullet.resetSimulation(physicsClientId=client)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=c.PHYSICS_STEP,
            numSolverIterations=c.SOLVER_ITERATIONS,
            solverResidualThreshold=c.SOLVER_RESIDUAL,
            deterministicOverlappingPairs=1,
            physicsClientId=client,
        )
        pybullet.setGravity(0, 0, c.GRAVITY, physicsClientId=client)
        make_tray(client)
        self.objects = []

    def load(self, scene: Scene, gripper_pose: Sequence[float]) -> None:
        """Loads a settled scene, the open gripper at x, y, z, yaw."""
        self.empty()
        self._gantry = make_gantry(self.client)
        self._place(np.asarray(gripper_pose))
        for joint in _FINGERS:
            self._reset_joint(joint, c.OPENING / 2)
        for number, position, orientation in scene.poses():
            self.objects.append(make_object(self.client, number, position, orientation))
        self._still = True
        self._fingers_open = True

    @property
    def gripper_pose(self) -> np.ndarray:
        """x, y, z of the fingertips' centre and yaw: float64 [4]."""
        return self._joints(_CARRIAGE)

    @property
    def gripper_opening(self) -> float:
        """Distance between the pads in metres."""
        return float(self._joints(_FINGERS).sum())

    def object_poses(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns positions [n, 3] and orientations (quaternions) [n, 4]."""
        poses = [
            pybullet.getBasePositionAndOrientation(body, physicsClientId=self.client)
            for body in self.objects
        ]
        return np.array([p for p, _ in poses]), np.array([q for _, q in poses])

    def move(self, target: np.ndarray) -> None:
        """Moves the open gripper to x, y, z, yaw in one step's time.

        Through free air the outcome is known, so the gripper is put there; whenever
        it might touch something, or something moves, the motion is simulated.
        """
        if self._still and not self._may_touch(self.gripper_pose, target):
            self._place(target)
            return
        self._drive(target, c.STEP_SECONDS)
        self._still = self._all_still()

    def try_grasp(self, pose: np.ndarray) -> bool:
        """Comes down from above to x, y, z, yaw and grasps."""
        self._place(np.array([*pose[:2], c.START_HEIGHT, pose[3]]))
        self._drive(pose, _DESCENT_SECONDS)
        return self.grasp()

    def grasp(self) -> bool:
        """Closes, lifts, holds; returns whether an object is held up."""
        rest = self.object_poses()[0][:, 2]
        self._hold_carriage(self.gripper_pose)
        self._close_fingers()
        self._step(c.CLOSE_SECONDS)
        if self.gripper_opening < c.CLOSED_ON_NOTHING:
            return False
        target = self.gripper_pose
        target[2] += c.LIFT_HEIGHT
        self._drive(target, c.LIFT_SECONDS)
        self._step(c.HOLD_SECONDS)
        rise = self.object_poses()[0][:, 2] - rest
        return bool((rise > c.HELD_RISE).any())

    def settle(self) -> None:
        """Lets everything fall until it rests."""
        self._step(c.SETTLE_STEPS * c.PHYSICS_STEP)

    def _may_touch(self, start: np.ndarray, target: np.ndarray) -> bool:
        low, high = _swept_box(start, target)
        for body in self.objects:
            least, most = pybullet.getAABB(body, physicsClientId=self.client)
            if (low < np.array(most)).all() and (high > np.array(least)).all():
                return True
        return False

    def _all_still(self) -> bool:
        for body in self.objects:
            linear, angular = pybullet.getBaseVelocity(
                body, physicsClientId=self.client
            )
            if max(map(abs, (*linear, *angular))) > _STILL_SPEED:
                return False
        return True

    def _place(self, pose: np.ndarray) -> None:
        for joint in _CARRIAGE:
            self._reset_joint(joint, float(pose[joint]))

    def _drive(self, target: np.ndarray, seconds: float) -> None:
        """Moves the carriage, speeding up and slowing down, to arrive in time."""
        start = self.gripper_pose
        steps = round(seconds / c.PHYSICS_STEP)
        for step in range(1, steps + 1):
            part = step / steps
            gone = part * part * (3 - 2 * part)
            self._hold_carriage(start + (target - start) * gone)
            pybullet.stepSimulation(physicsClientId=self.client)

    def _hold_carriage(self, pose: np.ndarray) -> None:
        pybullet.setJointMotorControlArray(
            self._gantry,
            _CARRIAGE,
            pybullet.POSITION_CONTROL,
            targetPositions=pose.tolist(),
            forces=[c.CARRIAGE_FORCE] * len(_CARRIAGE),
            positionGains=[0.8] * len(_CARRIAGE),
            velocityGains=[1.0] * len(_CARRIAGE),
            physicsClientId=self.client,
        )
        if self._fingers_open:
            pybullet.setJointMotorControlArray(
                self._gantry,
                _FINGERS,
                pybullet.POSITION_CONTROL,
                targetPositions=[c.OPENING / 2] * 2,
                forces=[c.FINGER_FORCE] * 2,
                physicsClientId=self.client,
            )

    def _close_fingers(self) -> None:
        self._fingers_open = False
        pybullet.setJointMotorControlArray(
            self._gantry,
            _FINGERS,
            pybullet.VELOCITY_CONTROL,
            targetVelocities=[-c.CLOSE_SPEED] * 2,
            forces=[c.FINGER_FORCE] * 2,
            physicsClientId=self.client,
        )

    def _step(self, seconds: float) -> None:
        for _ in range(round(seconds / c.PHYSICS_STEP)):
            pybullet.stepSimulation(physicsClientId=self.client)

    def _reset_joint(self, joint: int, value: float) -> None:
        pybullet.resetJointState(
            self._gantry, joint, value, 0.0, physicsClientId=self.client
        )

    def _joints(self, joints: Sequence[int]) -> np.ndarray:
        states = pybullet.getJointStates(
            self._gantry, joints, physicsClientId=self.client
        )
        return np.array([state[0] for state in states])


def _swept_box(start: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a box around all places of the open gripper on the way."""
    # At any yaw the gripper stays within its diagonal.
    reach = float(np.hypot(c.OPENING / 2 + c.FINGER_THICKNESS, c.PAD_WIDTH / 2))
    around = np.array([reach, reach, 0.0]) + _CLEARANCE
    low = np.minimum(start[:3], target[:3]) - around
    high = np.maximum(start[:3], target[:3]) + around
    high[2] += c.FINGER_LENGTH + c.PALM_HEIGHT
    return low, high
