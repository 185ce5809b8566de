"""Gaussian noise that stays alike from step to step, as a robot can follow it."""

from __future__ import annotations

import numpy as np

from thresher.episodes.errors import UserError


class CoherentNoise:
    """A first-order autoregressive process of unit variance at every step.

    x_t = a x_{t-1} + sqrt(1 - a^2) e_t with standard normal e_t: low-pass filtered
    white noise that neither starts at zero nor grows. White noise shakes a robot about
    one place; coherent noise takes it elsewhere.

    Raises:
      UserError: A correlation outside [0, 1).
    """

    def __init__(self, shape: tuple[int, ...], correlation: float) -> None:
        """Makes the process.

        Args:
          shape: Of what is drawn.
          correlation: a, of one step's value with the next; 0 for white noise.
        """
        if not 0 <= correlation < 1:
            raise UserError(
                f"noise correlation {correlation} is not between 0 and 1 (1 excluded)"
            )
        self._shape = shape
        self._correlation = correlation
        self._last: np.ndarray | None = None

    def reset(self) -> None:
        """Begins an episode."""
        self._last = None

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Returns the next value."""
        fresh: np.ndarray = rng.normal(size=self._shape)
        kept = self._correlation
        if self._last is not None and kept > 0:
            fresh = kept * self._last + np.sqrt(1 - kept**2) * fresh
        self._last = fresh
        return fresh
