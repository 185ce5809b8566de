"""What every world offers beyond Gymnasium's interface."""

from __future__ import annotations

import abc
from typing import Any, Optional

import gymnasium
import numpy as np

from thresher.episodes.spec import EpisodeSpec

Observation = dict[str, np.ndarray]


class WorldFault(Exception):
    """The world itself went wrong: nobody's input can be blamed, nothing mended."""


class World(gymnasium.Env[Observation, np.ndarray]):
    """A place to act in.

    `reset` puts 'scene_id', 'object_ids' and 'environment' (the parameters drawn) in
    its info; `step` puts 'executed_action' (what was done after safety), and at the
    end 'success' and, where there are further labellers, 'other_labels' (success by
    who says so).

    Attributes:
      episode_spec: What an episode in this world holds.
      robot: The robot's name, for metadata.
      task: The task's name.
    """

    episode_spec: EpisodeSpec
    robot: str
    task: str

    def prepare(self, episodes: Optional[int] = None) -> None:
        """Makes ready what many episodes share, if there is such a thing.

        Args:
          episodes: How many there will be; None for any number.
        """

    @abc.abstractmethod
    def privileged_state(self) -> Any:
        """Returns what only a simulator knows, for scripted policies."""
