"""What every policy offers, however it decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from thresher.envs.world import World
from thresher.episodes.metadata import BehaviourKind


class Policy(Protocol):
    """Acts in a world.

    Attributes:
      policy_id: Its name.
      policy_version: Which one of that name.
      kind: What kind of behaviour it is.
      noise: Exploration noise by name.
    """

    policy_id: str
    policy_version: str
    kind: BehaviourKind
    noise: Mapping[str, float]

    def reset(self, world: World, rng: np.random.Generator) -> None:
        """Begins an episode; all randomness until the next reset comes from `rng`."""
        ...

    def act(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns an action [A] for an observation as the world gives it."""
        ...
