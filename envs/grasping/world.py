"""The bin-grasping world: closed-loop grasping from above, four degrees of freedom."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional

import gymnasium
import numpy as np

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.camera import Camera, grasp_geometry
from thresher.envs.grasping.geometry import GraspGeometry
from thresher.envs.grasping.object_models import object_model
from thresher.envs.grasping.objects import OBJECT_SETS, object_id
from thresher.envs.grasping.safety import require_action, safe_action
from thresher.envs.grasping.scene import QUARTER_TURNS, Scene
from thresher.envs.grasping.scene_bank import SceneBank
from thresher.envs.grasping.settle import prepare
from thresher.envs.grasping.simulation import Simulation
from thresher.envs.grasping.spec import grasping_spec
from thresher.envs.world import Observation, World
from thresher.episodes.errors import UserError, unknown_name

# Settling costs a tenth of a second a scene; each is drawn in four turns.
BANK_SIZES = {"train": 1000, "eval": 250}


@dataclasses.dataclass(frozen=True)
class GraspState:
    """What only the simulator knows.

    Attributes:
      gripper_pose: x, y, z, yaw of the gripper.
      points: For each object points all over its surface, in the world, [P, 3].
    """

    gripper_pose: np.ndarray
    points: tuple[np.ndarray, ...]


class BinGrasping(World):
    """A gripper over a tray of random objects; see `grasping_spec` for what it sees.

    An episode ends `terminated` when the gripper closes (reward 1 if an object is
    held up) and `truncated` after `MAX_STEPS` steps without closing.
    """

    # Gymnasium declares it so.
    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    render_mode = "rgb_array"
    robot = "gantry gripper (PyBullet)"
    task = "grasp any object"

    def __init__(
        self,
        image_size: int = 64,
        num_objects: int = 5,
        object_set: str = "train",
        bank_size: Optional[int] = None,
    ) -> None:
        """Prepares the scenes; the first time on a machine this takes a minute.

        Args:
          image_size: Pixels a side: 48, 64 or 96.
          num_objects: Objects in the tray, 3 to 8.
          object_set: 'train' or 'eval'; they share no object.
          bank_size: Scenes to draw from; each in four turns.

        Raises:
          UserError: A size, number or set that is not offered.
        """
        if object_set not in OBJECT_SETS:
            raise unknown_name("object set", object_set, OBJECT_SETS)
        if not 3 <= num_objects <= 8:
            raise UserError(f"{num_objects} objects in the tray: choose 3 to 8")
        self.episode_spec = grasping_spec(image_size)
        self._object_set = object_set
        self._bank = SceneBank(
            object_set, num_objects, bank_size or BANK_SIZES[object_set]
        )
        prepare(self._bank)
        self._simulation = Simulation()
        self._camera = Camera(self._simulation.client, image_size)
        self._steps = 0
        self._scene: Optional[Scene] = None
        self.observation_space = _observation_space(self.episode_spec.observation)
        self.action_space = gymnasium.spaces.Box(-1, 1, (5,), np.float32)

    @property
    def camera(self) -> GraspGeometry:
        """Camera and workspace as numbers."""
        return grasp_geometry()

    def reset(
        self, *, seed: Optional[int] = None, options: Optional[dict[str, Any]] = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draws a scene and a pose above it."""
        super().reset(seed=seed)
        index = int(self.np_random.integers(self._bank.size))
        turn = int(self.np_random.integers(QUARTER_TURNS))
        place = self.np_random.uniform(c.WORKSPACE_LOW[:2], c.WORKSPACE_HIGH[:2]) / 2
        yaw = self.np_random.uniform(-c.MAX_YAW, c.MAX_YAW)
        self._scene = self._bank.scene(index).turned(turn)
        self._simulation.load(self._scene, [*place, c.START_HEIGHT, yaw])
        self._steps = 0
        return self._observe(), {
            "scene_id": self._scene.name,
            "object_ids": [object_id(int(n)) for n in self._scene.numbers],
            "environment": {
                "object_set": self._object_set,
                "quarter_turns": float(turn),
                "revision": float(c.REVISION),
            },
        }

    def step(
        self, action: np.ndarray
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Moves, and closes where the action says so.

        Raises:
          ValueError: The action is not five finite numbers.
          gymnasium.error.ResetNeeded: Before `reset`.
        """
        if self._scene is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        pose = self._simulation.gripper_pose
        executed = safe_action(require_action(action), pose)
        self._simulation.move(pose + executed[:4] * np.array(c.ACTION_SCALE))
        self._steps += 1
        closed = bool(executed[4] > 0)
        success = self._simulation.grasp() if closed else False
        truncated = not closed and self._steps >= c.MAX_STEPS
        info = {"executed_action": executed, "success": success}
        return self._observe(), float(success), closed, truncated, info

    def privileged_state(self) -> GraspState:
        """Returns the gripper's pose and every object's surface."""
        assert self._scene is not None, "call reset() first"
        positions, orientations = self._simulation.object_poses()
        points = tuple(
            object_model(int(number)).points @ _rotation(q).T + p
            for number, p, q in zip(self._scene.numbers, positions, orientations)
        )
        return GraspState(self._simulation.gripper_pose, points)

    def try_grasp(self, pose: np.ndarray) -> bool:
        """Comes down to x, y, z, yaw, closes, and returns whether that held.

        For planners that are judged apart from any policy. Ends the episode.
        """
        held = self._simulation.try_grasp(pose)
        self._scene = None
        return held

    def render(self) -> np.ndarray:
        """Returns the camera's picture, uint8 [S, S, 3]."""
        return self._camera.picture()

    def close(self) -> None:
        """Frees the physics client."""
        self._simulation.close()

    def _observe(self) -> Observation:
        x, y, z, yaw = self._simulation.gripper_pose
        numbers = {
            "gripper_planar_pose": [x, y, yaw],
            "gripper_height": [z],
            "gripper_opening": [self._simulation.gripper_opening],
            "episode_fraction": [self._steps / c.MAX_STEPS],
        }
        observation = {k: np.array(v, np.float32) for k, v in numbers.items()}
        return {"image": self._camera.picture(), **observation}


def _observation_space(features: dict[str, Any]) -> gymnasium.spaces.Dict:
    return gymnasium.spaces.Dict(
        {
            name: gymnasium.spaces.Box(0, 255, feature.shape, np.uint8)
            if feature.is_image
            else gymnasium.spaces.Box(-np.inf, np.inf, feature.shape, np.float32)
            for name, feature in features.items()
        }
    )


def _rotation(quaternion: np.ndarray) -> np.ndarray:
    """Returns the rotation matrix [3, 3] of a unit quaternion x, y, z, w."""
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
