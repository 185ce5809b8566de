"""How sure a success rate is."""

from __future__ import annotations

import dataclasses
import math
from statistics import NormalDist


@dataclasses.dataclass(frozen=True)
class Proportion:
    """A success rate with its Wilson score interval.

    The interval is Wilson's (1927, equation 4): unlike the normal approximation it
    stays inside [0, 1] and keeps its coverage near 0 and 1 and at small n.

    Attributes:
      successes: How many episodes succeeded.
      trials: Out of how many.
      confidence: Coverage of the interval, in (0, 1).
    """

    successes: int
    trials: int
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.trials or self.trials == 0:
            raise ValueError(f"{self.successes} successes of {self.trials} trials")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence {self.confidence} is not in (0, 1)")

    @property
    def rate(self) -> float:
        """Successes per trial, in [0, 1]."""
        return self.successes / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end, in [0, 1]."""
        z = NormalDist().inv_cdf((1 + self.confidence) / 2)
        n = self.trials
        centre = (self.rate + z * z / (2 * n)) / (1 + z * z / n)
        variance = self.rate * (1 - self.rate) / n + z * z / (4 * n * n)
        half = z * math.sqrt(variance) / (1 + z * z / n)
        return max(0.0, centre - half), min(1.0, centre + half)

    def is_above(self, other: Proportion) -> bool:
        """Whether this interval lies wholly above the other's."""
        return self.interval[0] > other.interval[1]

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.rate:.1%} [{low:.1%}, {high:.1%}], n = {self.trials}"
