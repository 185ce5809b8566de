"""Finds the objects that cannot be used, and why.

python -m thresher.envs.grasping.find_unusable > unusable_objects.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.meshes import read_convex_parts
from thresher.envs.grasping.object_models import MESH_SCALE
from thresher.envs.grasping.objects import OBJECT_COUNT, object_folder

_DIRECTIONS = 2000


def reason_against(path: Path) -> str | None:
    """Returns why an object cannot be grasped or simulated; None if it can.

    Args:
      path: Its OBJ file.
    """
    parts = read_convex_parts(path)
    if not parts or any(len(part) < 4 for part in parts):
        return "a part has fewer than four vertices"
    points = np.concatenate(parts) * MESH_SCALE
    if not np.isfinite(points).all():
        return "vertices are not numbers"
    least = _least_width(points)
    if least > c.OPENING:
        return f"{1000 * least:.0f} mm wide at its thinnest: the gripper opens less"
    return None


def _least_width(points: np.ndarray) -> float:
    """Returns the least distance of two parallel planes with all points between.

    Of the axes and random directions: a few percent too much at worst.
    """
    random = np.random.default_rng(0).normal(size=(_DIRECTIONS, 3))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    directions = np.concatenate([np.eye(3), random])
    return float(np.ptp(points @ directions.T, axis=0).min())


def main() -> None:
    """Prints the JSON file."""
    found = {}
    for number in range(OBJECT_COUNT):
        reason = reason_against(object_folder(number) / f"{number:03d}.obj")
        if reason is not None:
            found[str(number)] = reason
    json.dump(found, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
