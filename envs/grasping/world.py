"""The bin-grasping world: closed-loop grasping from above, four degrees of freedom."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Optional, Union

import gymnasium
import numpy as np

from thresher.envs.grasping import constants as c
from thresher.envs.grasping import labels
from thresher.envs.grasping.camera import Camera, grasp_geometry
from thresher.envs.grasping.geometry import GraspGeometry
from thresher.envs.grasping.latency import DelayLine
from thresher.envs.grasping.object_models import object_model
from thresher.envs.grasping.objects import OBJECT_SETS, object_id
from thresher.envs.grasping.parameters import NOMINAL, Parameters
from thresher.envs.grasping.randomisation import Randomisation, randomisation
from thresher.envs.grasping.safety import SafetyLimits, require_action
from thresher.envs.grasping.scene import QUARTER_TURNS, Scene
from thresher.envs.grasping.scene_bank import FRESH, SceneBank
from thresher.envs.grasping.settle import prepare
from thresher.envs.grasping.simulation import Simulation
from thresher.envs.grasping.spec import grasping_spec
from thresher.envs.world import Observation, World
from thresher.episodes.errors import UserError, unknown_name

# Large enough that a learner cannot know them by heart; each is drawn in four turns.
BANK_SIZES = {"train": 20_000, "eval": 500}
_ROBOTS = {"gantry": "gantry gripper (PyBullet)", "kuka": "KUKA iiwa (PyBullet)"}


@dataclasses.dataclass(frozen=True)
class PlacedObject:
    """An object where it lies.

    Attributes:
      number: Which of the thousand.
      position: x, y, z in metres.
      orientation: Unit quaternion x, y, z, w.
    """

    number: int
    position: np.ndarray
    orientation: np.ndarray

    @functools.cached_property
    def points(self) -> np.ndarray:
        """Points all over its surface, in the world, [P, 3]."""
        own = object_model(self.number).points
        return own @ _rotation(self.orientation).T + self.position


@dataclasses.dataclass(frozen=True)
class GraspState:
    """What only the simulator knows.

    Attributes:
      gripper_pose: x, y, z, yaw of the gripper.
      objects: Everything in the tray.
      rehearse: Tells whether a grasp at x, y, z, yaw, straight from above, holds in a
        copy of the scene.
    """

    gripper_pose: np.ndarray
    objects: tuple[PlacedObject, ...]
    rehearse: Callable[[np.ndarray], bool]

    @property
    def points(self) -> tuple[np.ndarray, ...]:
        """For each object points all over its surface, in the world, [P, 3]."""
        return tuple(placed.points for placed in self.objects)


class BinGrasping(World):
    """A gripper over a tray of random objects; see `grasping_spec` for what it sees.

    An episode ends `terminated` when the gripper closes (reward 1 if an object is
    held up) and `truncated` after `MAX_STEPS` steps without closing.
    """

    # Gymnasium declares it so.
    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    render_mode = "rgb_array"
    task = "grasp any object"

    def __init__(
        self,
        image_size: int = 64,
        num_objects: int = 5,
        object_set: str = "train",
        bank_size: Optional[int] = None,
        fresh_scenes: bool = False,
        arm: str = "gantry",
        randomise: Union[str, Mapping[str, Any], Randomisation, None] = None,
        limits: Union[Mapping[str, Any], SafetyLimits, None] = None,
        check_grasps: bool = False,
    ) -> None:
        """Makes the world; a scene that is not in the bank yet is settled when drawn.

        Args:
          image_size: Pixels a side: 48, 64 or 96.
          num_objects: Objects in the tray, 3 to 8.
          object_set: 'train' or 'eval'; they share no object.
          bank_size: Scenes to draw from; each in four turns. `prepare` settles them
            all, on all processors.
          fresh_scenes: Settle a scene of its own for every episode, and keep none.
          arm: 'gantry', or 'kuka' to have the arm in the picture.
          randomise: 'looks', 'dynamics', 'latency', 'all', or ranges by name; see
            `Randomisation`.
          limits: Stricter limits than the world's own, by name; see `SafetyLimits`.
          check_grasps: Label every grasp a second time, from what a robot can see.

        Raises:
          UserError: An option that is not offered.
        """
        if object_set not in OBJECT_SETS:
            raise unknown_name("object set", object_set, OBJECT_SETS)
        if not 3 <= num_objects <= 8:
            raise UserError(f"{num_objects} objects in the tray: choose 3 to 8")
        if bank_size is not None and bank_size < 1:
            raise UserError(f"a bank of {bank_size} scenes: choose 1 or more")
        self.episode_spec = grasping_spec(image_size)
        self._randomisation = randomisation(randomise)
        self._limits = SafetyLimits.of(limits)
        self._check_grasps = check_grasps
        self._object_set = object_set
        size = FRESH if fresh_scenes else bank_size or BANK_SIZES[object_set]
        self._bank = SceneBank(object_set, num_objects, size)
        self._simulation = Simulation(arm)
        self.robot = _ROBOTS[arm]
        self._rehearsal: Optional[Simulation] = None
        self._camera = Camera(self._simulation.client, image_size)
        self._steps = 0
        self._scene: Optional[Scene] = None
        self._parameters = NOMINAL
        self.observation_space = _observation_space(self.episode_spec.observation)
        self.action_space = gymnasium.spaces.Box(-1, 1, (5,), np.float32)

    def prepare(self, episodes: Optional[int] = None) -> None:
        """Settles the bank, on all processors, unless few episodes will draw from it.

        Args:
          episodes: How many there will be; None for any number.
        """
        if episodes is None or 2 * episodes >= self._bank.size:
            prepare(self._bank)

    @property
    def camera(self) -> GraspGeometry:
        """Camera and workspace as numbers, in the episode under way."""
        return grasp_geometry(self._parameters)

    def reset(
        self, *, seed: Optional[int] = None, options: Optional[dict[str, Any]] = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draws a scene, a pose above it and, where asked for, the world's numbers."""
        super().reset(seed=seed)
        index = int(self.np_random.integers(self._bank.size))
        turn = int(self.np_random.integers(QUARTER_TURNS))
        place = self.np_random.uniform(c.WORKSPACE_LOW[:2], c.WORKSPACE_HIGH[:2]) / 2
        yaw = self.np_random.uniform(-c.MAX_YAW, c.MAX_YAW)
        self._scene = self._bank.scene(index).turned(turn)
        self._parameters = self._drawn(len(self._scene.numbers))
        start = self._limits.nearest_pose(np.array([*place, c.START_HEIGHT, yaw]))
        self._simulation.load(self._scene, start, self._parameters)
        self._camera.look(self._parameters)
        self._steps = 0
        first = self._sense()
        self._delay = DelayLine(self._parameters.latency, first)
        return self._stamped(first), self._facts(turn)

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
        executed = self._limits.safe_action(require_action(action), pose)
        target = pose + executed[:4] * np.array(c.ACTION_SCALE)
        on_the_way: list[Observation] = []
        self._simulation.move(
            target, self._delay.moment, lambda: on_the_way.append(self._sense())
        )
        self._steps += 1
        closed = bool(executed[4] > 0)
        success = self._simulation.grasp() if closed else False
        # What is not late shows the world after the grasp.
        late = self._delay.moment < 1
        seen = self._delay.after(on_the_way[0] if late else self._sense())
        truncated = not closed and self._steps >= c.MAX_STEPS
        info: dict[str, Any] = {"executed_action": executed, "success": success}
        if self._check_grasps and (closed or truncated):
            held = closed and self._grasp_check().held
            info["other_labels"] = {labels.SOURCE: held}
        return self._stamped(seen), float(success), closed, truncated, info

    def privileged_state(self) -> GraspState:
        """Returns the gripper's pose and every object, as they are now."""
        placed = tuple(
            PlacedObject(number, np.array(position), np.array(orientation))
            for number, position, orientation in self._scene_now().poses()
        )
        return GraspState(self._simulation.gripper_pose, placed, self._rehearse)

    def try_grasp(self, pose: np.ndarray) -> bool:
        """Comes down from above to x, y, z, yaw, closes, and returns whether that held.

        For planners that are judged apart from any policy. Ends the episode.
        """
        held = self._simulation.try_grasp(pose)
        self._scene = None
        return held

    def render(self) -> np.ndarray:
        """Returns the camera's picture, uint8 [S, S, 3], without noise or delay."""
        return self._camera.picture()

    def close(self) -> None:
        """Frees the physics clients."""
        self._simulation.close()
        if self._rehearsal is not None:
            self._rehearsal.close()

    def _drawn(self, num_objects: int) -> Parameters:
        if self._randomisation is None:
            return NOMINAL
        return self._randomisation.draw(self.np_random, num_objects)

    def _facts(self, turn: int) -> dict[str, Any]:
        assert self._scene is not None
        drawn = self._randomisation is not None
        return {
            "scene_id": self._scene.name,
            "object_ids": [object_id(int(n)) for n in self._scene.numbers],
            "environment": {
                "object_set": self._object_set,
                "quarter_turns": float(turn),
                "revision": float(c.REVISION),
                **(self._parameters.as_environment() if drawn else {}),
            },
        }

    def _scene_now(self) -> Scene:
        assert self._scene is not None, "call reset() first"
        positions, orientations = self._simulation.object_poses()
        return dataclasses.replace(
            self._scene, positions=positions, orientations=orientations
        )

    def _rehearse(self, pose: np.ndarray) -> bool:
        if self._rehearsal is None:
            self._rehearsal = Simulation()
        above = np.array([*pose[:2], c.START_HEIGHT, pose[3]])
        self._rehearsal.load(self._scene_now(), above, self._parameters)
        return self._rehearsal.try_grasp(pose)

    def _grasp_check(self) -> labels.GraspCheck:
        opening, holding = self._simulation.gripper_opening, self._picture()
        self._simulation.let_go()
        return labels.GraspCheck(opening, holding, self._picture())

    def _sense(self) -> Observation:
        """Returns what the sensors say now, with their noise; no time stamp yet."""
        x, y, z, yaw = self._simulation.gripper_pose
        metres = self._noisy(
            [x, y, z, self._simulation.gripper_opening], self._parameters.position_noise
        )
        (turned,) = self._noisy([yaw], self._parameters.yaw_noise)
        numbers = {
            "gripper_planar_pose": [metres[0], metres[1], turned],
            "gripper_height": [metres[2]],
            "gripper_opening": [metres[3]],
        }
        measured = {k: np.array(v, np.float32) for k, v in numbers.items()}
        return {"image": self._picture(), **measured}

    def _stamped(self, sensed: Observation) -> Observation:
        """Adds what the robot knows by itself, without delay."""
        fraction = np.array([self._steps / c.MAX_STEPS], np.float32)
        return {**sensed, "episode_fraction": fraction}

    def _picture(self) -> np.ndarray:
        picture = self._camera.picture()
        if self._parameters.image_noise == 0:
            return picture
        noisy = self._noisy(picture, self._parameters.image_noise)
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)

    def _noisy(self, values: Any, deviation: float) -> np.ndarray:
        exact = np.asarray(values, dtype=float)
        if deviation == 0:
            return exact
        return exact + self.np_random.normal(0.0, deviation, exact.shape)


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
