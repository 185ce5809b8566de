"""The public reference: pybullet_envs' KukaDiverseObjectEnv, its frames made ours.

Its tray's floor is moved to height 0 and the middle of what its gripper can reach to
the origin. Its gripper closes by itself on coming near the tray; a policy moves it
sideways and turns it meanwhile, in at most eight steps.
"""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np

from thresher.envs.grasping.bullet import pybullet
from thresher.envs.grasping.object_models import object_model

# The gripper's own limits in the reference's code: x, y of its last link.
REACH_LOW, REACH_HIGH = np.array([0.50, -0.17]), np.array([0.65, 0.22])
MIDDLE = (REACH_LOW + REACH_HIGH) / 2
# What one step of 1 moves.
METRES, RADIANS = 0.06, 0.25
# Objects rest so much above the lowest point of its tray.
_FLOOR_THICKNESS = 0.015
_TIPS = (10, 13)
_WRIST = 6
_NUMBER = re.compile(r"random_urdfs/(\d+)/")


class Reference:
    """The reference on its evaluation objects, 64×64 pictures."""

    def __init__(self) -> None:
        # Takes a second and prints; only what measures the reference needs it.
        from pybullet_envs.bullet import kuka_diverse_object_gym_env as module

        self.env = module.KukaDiverseObjectEnv(width=64, height=64, isTest=True)
        self._numbers: list[int] = []
        self._remember_objects()

    def _remember_objects(self) -> None:
        """Keeps which objects it chose: it tells nobody."""
        choose = self.env._get_random_object

        def remembered(count: int, test: bool) -> Any:
            names = choose(count, test)
            found = [_NUMBER.search(name) for name in names]
            self._numbers = [int(match.group(1)) for match in found if match]
            return names

        self.env._get_random_object = remembered

    def reset(self, seed: int) -> None:
        """Begins an episode; it draws from the global generators."""
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        self.env.reset()
        low, _ = pybullet.getAABB(self.env._kuka.trayUid)
        self._floor = low[2] + _FLOOR_THICKNESS

    def points(self) -> tuple[np.ndarray, ...]:
        """Returns points all over each object, in our frame, [P, 3] each."""
        clouds = []
        for number, body in zip(self._numbers, self.env._objectUids):
            place, turn = pybullet.getBasePositionAndOrientation(body)
            rotation = np.array(pybullet.getMatrixFromQuaternion(turn)).reshape(3, 3)
            world = object_model(number).points @ rotation.T + place
            clouds.append(world - [*MIDDLE, self._floor])
        return tuple(clouds)

    @property
    def gripper(self) -> tuple[np.ndarray, float]:
        """Place of the fingertips' centre (our frame) and yaw, as in our world."""
        left, right = (
            np.array(pybullet.getLinkState(self.env._kuka.kukaUid, tip)[0])
            for tip in _TIPS
        )
        across = left - right
        yaw = float(np.arctan2(across[1], across[0]) - np.pi / 2)
        return (left + right) / 2 - [*MIDDLE, self._floor], yaw

    def reaches(self, place: np.ndarray) -> bool:
        """Whether the fingertips can come over a place [2] of our frame."""
        offset = self._tip_offset()
        wrist = place + MIDDLE - offset
        return bool((wrist >= REACH_LOW).all() and (wrist <= REACH_HIGH).all())

    def _tip_offset(self) -> np.ndarray:
        wrist = pybullet.getLinkState(self.env._kuka.kukaUid, _WRIST)[0]
        place, _ = self.gripper
        return np.asarray(place[:2] + MIDDLE - wrist[:2])

    def towards(self, place: np.ndarray, yaw: float) -> np.ndarray:
        """Returns the action that goes on towards a place [2] and a yaw."""
        now, turned = self.gripper
        # Half a turn later the gripper is the same. It hangs head down, so its joint
        # turns the other way round.
        missing = (yaw - turned + np.pi / 2) % np.pi - np.pi / 2
        moves = (place - now[:2]) / METRES
        return np.clip([*moves, -missing / RADIANS], -1, 1)

    def step(self, action: np.ndarray) -> tuple[bool, bool]:
        """Acts; returns whether the episode ended and whether it succeeded."""
        _, reward, done, _ = self.env.step(action)
        return bool(done), bool(reward)
