"""Plans top-down grasps from the true shapes: the ceiling of what can be learned."""

from __future__ import annotations

import dataclasses

import numpy as np

from thresher.envs.grasping import constants as c

YAWS = 16
_OFFSETS = (-0.03, -0.015, 0.0, 0.015, 0.03)
# Vertices are sparse: this widens each finger to what lies between them.
_MARGIN = 0.005
# How far below an object's top the pads close.
_PAD_REACH = 0.045


@dataclasses.dataclass(frozen=True)
class Grasp:
    """Where to close the fingers.

    Attributes:
      pose: x, y, z of the fingertips' centre and yaw.
      score: Larger is safer; below 0 something is in the way.
    """

    pose: np.ndarray
    score: float


def best_grasp(points: tuple[np.ndarray, ...]) -> Grasp:
    """Returns the safest grasp of any object.

    Args:
      points: Points of each object's surface in the world, [V, 3] each.
    """
    grasps = [best_grasp_of(points, number) for number in range(len(points))]
    return max(grasps, key=lambda grasp: grasp.score)


def best_grasp_of(points: tuple[np.ndarray, ...], number: int) -> Grasp:
    """Returns the safest grasp of one object."""
    candidates = [
        _scored(points, number, yaw, offset)
        for yaw in (np.arange(YAWS) / YAWS - 0.5) * np.pi
        for offset in _OFFSETS
    ]
    return max(candidates, key=lambda grasp: grasp.score)


def rough_grasp(points: np.ndarray) -> np.ndarray:
    """Returns a pose over an object's middle, closing across its longer side.

    Args:
      points: [V, 3] of its surface.
    """
    middle = points.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(points[:, :2].T))
    yaw = np.arctan2(axes[1, 1], axes[0, 1])
    height = max(c.WORKSPACE_LOW[2], float(points[:, 2].max()) - _PAD_REACH)
    return np.array([middle[0], middle[1], height, yaw])


def _scored(
    points: tuple[np.ndarray, ...], number: int, yaw: float, offset: float
) -> Grasp:
    """Scores a grasp `offset` metres along the fingers' width from the centre."""
    along_axis = np.array([np.cos(yaw), np.sin(yaw)])
    across_axis = np.array([-np.sin(yaw), np.cos(yaw)])
    own = points[number]
    middle = own[:, :2].mean(axis=0) + offset * along_axis
    along = (own[:, :2] - middle) @ along_axis
    strip = own[np.abs(along) < c.PAD_WIDTH / 2 + _MARGIN]
    if not len(strip):
        return Grasp(np.zeros(4), -9.0)
    across = (strip[:, :2] - middle) @ across_axis
    # Close around the middle of what is between the pads.
    middle = middle + across_axis * (across.min() + across.max()) / 2
    width = float(np.ptp(across))
    height = max(c.WORKSPACE_LOW[2], float(strip[:, 2].max()) - _PAD_REACH)
    pose = np.array([*middle, height, yaw])
    clearance = (c.OPENING - width) / 2 - _MARGIN
    score = min(clearance, 0.02) - abs(offset) / 2
    score -= 0.05 * _in_the_way(points, number, pose, along_axis, across_axis)
    inside = np.clip(pose[:3], c.WORKSPACE_LOW, c.WORKSPACE_HIGH)
    return Grasp(pose, score - 10 * float(np.abs(inside - pose[:3]).max()))


def _in_the_way(
    points: tuple[np.ndarray, ...],
    number: int,
    pose: np.ndarray,
    along_axis: np.ndarray,
    across_axis: np.ndarray,
) -> float:
    """Returns how many objects the fingers would hit or take along."""
    hits = 0.0
    for other, cloud in enumerate(points):
        near = cloud[cloud[:, 2] > pose[2] - _MARGIN]
        along = np.abs((near[:, :2] - pose[:2]) @ along_axis)
        across = np.abs((near[:, :2] - pose[:2]) @ across_axis)
        beside = along < c.PAD_WIDTH / 2 + _MARGIN
        outer = c.OPENING / 2 + c.FINGER_THICKNESS + _MARGIN
        finger = (across > c.OPENING / 2 - _MARGIN / 2) & (across < outer)
        hits += bool((beside & finger).any())
        if other != number:
            hits += 0.5 * bool((beside & (across < c.OPENING / 2)).any())
    return hits
