"""Acts without looking: the floor that every other policy must beat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from thresher.envs.world import World
from thresher.episodes.metadata import BehaviourKind


class RandomPolicy:
    """Uniform actions, the same at every step of every world."""

    policy_id = "random"
    policy_version = "1"
    kind = BehaviourKind.RANDOM
    noise: Mapping[str, float] = {}

    def __init__(self, world: World) -> None:
        self._space = world.episode_spec.action

    def reset(self, world: World, rng: np.random.Generator) -> None:
        """Begins an episode."""
        self._rng = rng

    def act(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns a uniform action."""
        return np.asarray(self._space.sample(self._rng, 1))[0]
