"""Told where the objects are, goes there more or less well, closes at the bottom."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.planner import rough_grasp, safest_grasps
from thresher.envs.grasping.world import GraspState
from thresher.envs.policies.coherent_noise import CoherentNoise
from thresher.envs.world import World
from thresher.episodes.errors import UserError
from thresher.episodes.metadata import BehaviourKind

_SCALE = np.array(c.ACTION_SCALE)
# The skill that succeeds in 15-30 % of episodes, as the article's scripted policy.
PRESET_SKILL = 0.57
# At skill 0: standard deviations of the aim, and of each step's motion.
_AIM_METRES = 0.12
_AIM_HEIGHT_METRES = 0.05
_AIM_RADIANS = 1.6
_STEP_UNITS = 0.5
# At skill 0: probability of closing at any step.
_EARLY_CLOSING = 0.35
# From this skill on a planned grasp is chosen more and more often.
_PLANNING_SKILL = 0.8
# So many grasps the oracle rehearses before it takes the one that looked safest.
_REHEARSALS = 8
# Near enough to the place and yaw of a planned grasp to go straight down.
_OVER_METRES = 0.005
_OVER_RADIANS = 0.1
# Close enough to the intended height to close the fingers, in metres.
_AT_HEIGHT = 0.008


class ScriptedPolicy:
    """Aims at an object with an error, descends, closes at the bottom.

    One dial, skill from 0 to 1, scales every error; at 1 the policy is an oracle that
    takes the safest grasp of the scene that held in a rehearsal. Below, it aims at an
    object drawn at random: each step's motion is noisy and now and then it closes too
    early, so that its data show what good and bad actions lead to at every height.

    Raises:
      UserError: A skill outside [0, 1], or a correlation outside [0, 1).
    """

    policy_version = "1"
    kind = BehaviourKind.SCRIPTED

    def __init__(
        self, skill: float, policy_id: str = "scripted", correlation: float = 0.0
    ) -> None:
        """Makes the policy.

        Args:
          skill: 0 to 1.
          policy_id: Its name in metadata.
          correlation: Of the motion's noise from step to step; 0 for white noise.
        """
        if not 0 <= skill <= 1:
            raise UserError(f"skill {skill} is not between 0 and 1")
        self._motion_noise = CoherentNoise((4,), correlation)
        self.policy_id = policy_id
        error = 1 - skill
        self.noise: Mapping[str, float] = {
            "aim_metres": _AIM_METRES * error,
            "aim_height_metres": _AIM_HEIGHT_METRES * error,
            "aim_radians": _AIM_RADIANS * error,
            "step_units": _STEP_UNITS * error,
            "early_closing": _EARLY_CLOSING * error,
            **({"step_correlation": correlation} if correlation else {}),
        }
        self._skill = skill

    @classmethod
    def preset(cls) -> ScriptedPolicy:
        """Returns the collector of the article's kind."""
        return cls(PRESET_SKILL)

    @classmethod
    def oracle(cls) -> ScriptedPolicy:
        """Returns the ceiling."""
        return cls(1.0, "oracle")

    def reset(self, world: World, rng: np.random.Generator) -> None:
        """Chooses what to grasp, and how wrongly."""
        state = world.privileged_state()
        if not isinstance(state, GraspState):
            raise UserError(
                f"policy {self.policy_id!r} is written for the world 'bin_grasping'"
            )
        self._rng = rng
        self._motion_noise.reset()
        pose = self._choose(state)
        aim = self.noise["aim_metres"]
        self._target = pose + rng.normal(size=4) * [
            aim,
            aim,
            self.noise["aim_height_metres"],
            self.noise["aim_radians"],
        ]
        self._target[:3] = np.clip(self._target[:3], c.WORKSPACE_LOW, c.WORKSPACE_HIGH)
        # The gripper looks the same after half a turn.
        self._target[3] = (self._target[3] + np.pi / 2) % np.pi - np.pi / 2

    def act(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """Moves towards the target: sideways first, then down."""
        x, y, yaw = observation["gripper_planar_pose"]
        z = float(observation["gripper_height"][0])
        missing = self._target - np.array([x, y, z, yaw])
        motion = np.clip(missing / _SCALE, -1, 1)
        sideways = np.abs(missing[:2]).max()
        if self._planned and not _over(missing):
            # Straight down or not at all: on the way others would be pushed.
            motion[2] = max(motion[2], 0.0)
        elif sideways > c.ACTION_SCALE[0]:
            motion[2] = max(motion[2], 0.0) if z < 0.1 else motion[2] / 2
        drawn = self._motion_noise.draw(self._rng)
        motion += drawn * self.noise["step_units"] * [1, 1, 0.5, 1]
        arrives = missing[2] - np.clip(motion[2], -1, 1) * _SCALE[2] > -_AT_HEIGHT
        turned = abs(missing[3]) <= c.ACTION_SCALE[3]
        there = sideways <= c.ACTION_SCALE[0] and turned and arrives
        close = there or self._rng.random() < self.noise["early_closing"]
        return np.array([*np.clip(motion, -1, 1), 1 if close else -1], np.float32)

    def _choose(self, state: GraspState) -> np.ndarray:
        """Returns where to aim: a planned grasp, or a rough one of any object."""
        share = (self._skill - _PLANNING_SKILL) / (1 - _PLANNING_SKILL)
        self._planned = share > 0 and self._rng.random() < share
        if self._planned:
            return _rehearsed(state)
        number = int(self._rng.integers(len(state.objects)))
        return rough_grasp(state.objects[number].points)


def _over(missing: np.ndarray) -> bool:
    sideways, turned = np.abs(missing[:2]).max(), abs(missing[3])
    return bool(sideways < _OVER_METRES and turned < _OVER_RADIANS)


def _rehearsed(state: GraspState) -> np.ndarray:
    """Returns the safest grasp that holds in a copy of the scene."""
    best = list(itertools.islice(safest_grasps(state.points), _REHEARSALS))
    holding = (grasp.pose for grasp in best if state.rehearse(grasp.pose))
    return next(holding, best[0].pose)
