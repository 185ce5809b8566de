"""The physics of one tray, one gripper and its objects.

Every episode is loaded anew into an emptied simulation: what was simulated before
cannot change a bit of what follows, and memory stays flat.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.arm import Arm
from thresher.envs.grasping.bodies import make_object, make_tray
from thresher.envs.grasping.bullet import pybullet
from thresher.envs.grasping.gantry import Gantry
from thresher.envs.grasping.kuka import KukaArm
from thresher.envs.grasping.parameters import NOMINAL, Parameters
from thresher.envs.grasping.scene import Scene
from thresher.episodes.errors import unknown_name

ARMS: dict[str, Callable[[int, Parameters], Arm]] = {"gantry": Gantry, "kuka": KukaArm}
# Boxes of Bullet's shapes are a little larger than the shapes; this more is safe.
_CLEARANCE = 0.005
_STILL_SPEED = 1e-3
_DESCENT_SECONDS = 0.3


class Simulation:
    """One physics client; `load` puts a scene into it.

    Raises:
      UserError: There is no arm of that name.
    """

    def __init__(self, arm: str = "gantry") -> None:
        if arm not in ARMS:
            raise unknown_name("arm", arm, ARMS)
        self.client = pybullet.connect(pybullet.DIRECT)
        self.objects: list[int] = []
        self._arm_name = arm
        self._still = True

    def close(self) -> None:
        """Frees the client."""
        if self.client >= 0:
            pybullet.disconnect(self.client)
            self.client = -1

    def empty(self, parameters: Parameters = NOMINAL) -> None:
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
        make_tray(client, parameters)
        self.objects = []

    def load(
        self,
        scene: Scene,
        gripper_pose: np.ndarray,
        parameters: Parameters = NOMINAL,
    ) -> None:
        """Loads a settled scene, the open gripper at x, y, z, yaw."""
        self.empty(parameters)
        self._arm = ARMS[self._arm_name](self.client, parameters)
        self._arm.place(gripper_pose)
        self._arm.open_fingers()
        shifts = parameters.colour_shifts[2:]
        for which, pose in enumerate(scene.poses()):
            shift = shifts[which : which + 1]
            self.objects.append(make_object(self.client, *pose, parameters, shift))
        self._still = True

    @property
    def gripper_pose(self) -> np.ndarray:
        """x, y, z of the fingertips' centre and yaw: float64 [4]."""
        return self._arm.pose

    @property
    def gripper_opening(self) -> float:
        """Distance between the pads in metres."""
        return self._arm.opening

    def object_poses(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns positions [n, 3] and orientations (quaternions) [n, 4]."""
        poses = [
            pybullet.getBasePositionAndOrientation(body, physicsClientId=self.client)
            for body in self.objects
        ]
        return np.array([p for p, _ in poses]), np.array([q for _, q in poses])

    def place(self, pose: np.ndarray) -> None:
        """Puts the gripper somewhere at once."""
        self._arm.place(pose)

    def move(
        self,
        target: np.ndarray,
        moment: float = 1.0,
        at_moment: Callable[[], None] = lambda: None,
    ) -> None:
        """Moves the open gripper to x, y, z, yaw in one step's time.

        Through free air the outcome is known, so the gripper is put there; whenever
        it might touch something, or something moves, the motion is simulated.

        Args:
          target: Where to.
          moment: Part of the step, in (0, 1], after which to call `at_moment`.
          at_moment: Called once.
        """
        start = self.gripper_pose
        if self._still and not self._may_touch(start, target):
            if moment < 1:
                self._arm.place(_between(start, target, moment))
                at_moment()
            self._arm.place(target)
            if moment == 1:
                at_moment()
            return
        self._drive(target, c.STEP_SECONDS, moment, at_moment)
        self._still = self._all_still()

    def try_grasp(self, pose: np.ndarray) -> bool:
        """Comes down from above to x, y, z, yaw and grasps."""
        self._arm.place(np.array([*pose[:2], c.START_HEIGHT, pose[3]]))
        self._drive(pose, _DESCENT_SECONDS)
        return self.grasp()

    def grasp(self) -> bool:
        """Closes, lifts, holds; returns whether an object is held up."""
        rest = self.object_poses()[0][:, 2]
        self._arm.hold(self.gripper_pose)
        self._arm.close_fingers()
        self._step(c.CLOSE_SECONDS)
        if self.gripper_opening < c.CLOSED_ON_NOTHING:
            return False
        target = self.gripper_pose
        target[2] += c.LIFT_HEIGHT
        self._drive(target, c.LIFT_SECONDS)
        self._step(c.HOLD_SECONDS)
        rise = self.object_poses()[0][:, 2] - rest
        return bool((rise > c.HELD_RISE).any())

    def let_go(self) -> None:
        """Drops what is held and brings the fingers back as far as they were."""
        opening = self.gripper_opening
        self._arm.spread_fingers(c.OPENING)
        self._step(c.LET_GO_SECONDS)
        self._arm.spread_fingers(opening)
        self._step(c.FINGERS_BACK_SECONDS)

    def settle(self) -> None:
        """Lets everything fall until it rests."""
        self._step(c.SETTLE_STEPS * c.PHYSICS_STEP)

    def _may_touch(self, start: np.ndarray, target: np.ndarray) -> bool:
        low, high = self._swept_box(start, target)
        for body in self.objects:
            least, most = pybullet.getAABB(body, physicsClientId=self.client)
            if (low < np.array(most)).all() and (high > np.array(least)).all():
                return True
        return False

    def _swept_box(
        self, start: np.ndarray, target: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns a box around all places of the open gripper on the way."""
        around = np.array([self._arm.reach, self._arm.reach, 0.0]) + _CLEARANCE
        low = np.minimum(start[:3], target[:3]) - around
        high = np.maximum(start[:3], target[:3]) + around
        high[2] += self._arm.height
        return low, high

    def _all_still(self) -> bool:
        for body in self.objects:
            linear, angular = pybullet.getBaseVelocity(
                body, physicsClientId=self.client
            )
            if max(map(abs, (*linear, *angular))) > _STILL_SPEED:
                return False
        return True

    def _drive(
        self,
        target: np.ndarray,
        seconds: float,
        moment: float = 1.0,
        at_moment: Callable[[], None] = lambda: None,
    ) -> None:
        """Moves the gripper, speeding up and slowing down, to arrive in time."""
        start = self.gripper_pose
        steps = round(seconds / c.PHYSICS_STEP)
        when = max(1, round(moment * steps))
        for step in range(1, steps + 1):
            self._arm.hold(_between(start, target, step / steps))
            pybullet.stepSimulation(physicsClientId=self.client)
            if step == when:
                at_moment()

    def _step(self, seconds: float) -> None:
        for _ in range(round(seconds / c.PHYSICS_STEP)):
            pybullet.stepSimulation(physicsClientId=self.client)


def _between(start: np.ndarray, target: np.ndarray, part: float) -> np.ndarray:
    """Returns where a smooth motion is after a part of its time."""
    gone = part * part * (3 - 2 * part)
    return np.asarray(start + (target - start) * gone)
