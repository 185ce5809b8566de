"""Observations that arrive late, by whole and by parts of steps."""

from __future__ import annotations

import collections
import math

from thresher.envs.world import Observation


class DelayLine:
    """Hands out what was sensed some steps ago; before the start nothing moved.

    Of a delay of w + p steps (w whole, 0 <= p < 1), p is had by sensing before the
    step is over, and w by keeping what was sensed.

    Attributes:
      moment: Part of a step, in (0, 1], after which to sense.
    """

    def __init__(self, steps: float, first: Observation) -> None:
        whole = math.floor(steps)
        self.moment = 1.0 - (steps - whole)
        self._kept = collections.deque([first] * (whole + 1), maxlen=whole + 1)

    def after(self, sensed: Observation) -> Observation:
        """Takes what was sensed in this step; returns what arrives at its end."""
        self._kept.append(sensed)
        return self._kept[0]
