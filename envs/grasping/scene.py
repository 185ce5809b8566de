"""A settled arrangement of objects in the tray."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

QUARTER_TURNS = 4


@dataclasses.dataclass(frozen=True)
class Scene:
    """Objects at rest.

    Attributes:
      name: The arrangement's name; its four quarter turns share it.
      numbers: Which objects, int [n].
      positions: [n, 3] in metres.
      orientations: Quaternions x, y, z, w: [n, 4].
    """

    name: str
    numbers: np.ndarray
    positions: np.ndarray
    orientations: np.ndarray

    def poses(self) -> Iterator[tuple[int, list[float], list[float]]]:
        """Yields object, position and orientation."""
        for number, position, orientation in zip(
            self.numbers, self.positions, self.orientations
        ):
            yield int(number), position.tolist(), orientation.tolist()

    def turned(self, quarters: int) -> Scene:
        """Returns the scene turned anticlockwise about the tray's middle."""
        cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters % QUARTER_TURNS]
        x, y, z = self.positions.T
        positions = np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=1)
        half = quarters % QUARTER_TURNS * np.pi / 4
        orientations = _after_turn(self.orientations, np.sin(half), np.cos(half))
        return dataclasses.replace(self, positions=positions, orientations=orientations)


def _after_turn(quaternions: np.ndarray, sin: float, cos: float) -> np.ndarray:
    """Returns the Hamilton product (0, 0, sin, cos) * q."""
    x, y, z, w = quaternions.T
    return np.stack(
        [
            cos * x - sin * y,
            cos * y + sin * x,
            cos * z + sin * w,
            cos * w - sin * z,
        ],
        axis=1,
    )
