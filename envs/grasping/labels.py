"""Was something grasped? Told without privileged state, as on a real robot.

After the lift the fingers should not have met, and a picture taken with whatever the
gripper holds should differ from one taken after letting it go. Kalashnikov et al. 2018
(arXiv 1806.10293) label real grasps so.
"""

from __future__ import annotations

import dataclasses

import numpy as np

SOURCE = "gripper opening + image difference"
# Fingers that meet come this close; the pads give way by less.
MIN_OPENING = 0.002
# Greater than sensor noise and than a shadow: see docs/results/label_heuristic.md.
CHANGED_LEVELS = 40
MIN_CHANGED_SHARE = 0.006


@dataclasses.dataclass(frozen=True)
class GraspCheck:
    """What a robot can see of its own grasp.

    Attributes:
      opening: Distance of the pads after the lift, metres.
      holding: Picture after the lift, uint8 [S, S, 3].
      released: Picture after letting go, fingers as far apart as before.
    """

    opening: float
    holding: np.ndarray
    released: np.ndarray

    @property
    def changed_share(self) -> float:
        """Share of the pixels, 0 to 1, of which some channel changed clearly."""
        difference = np.abs(self.holding.astype(int) - self.released.astype(int))
        return float((difference.max(axis=-1) > CHANGED_LEVELS).mean())

    @property
    def held(self) -> bool:
        """The verdict."""
        return self.opening > MIN_OPENING and self.changed_share > MIN_CHANGED_SHARE
