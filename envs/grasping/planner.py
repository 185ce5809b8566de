"""Plans top-down grasps from the true shapes: the ceiling of what can be learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from thresher.envs.grasping import constants as c

YAWS = 16
_OFFSETS = (-0.02, -0.01, 0.0, 0.01, 0.02)
# How far below the top of what is between the pads the fingertips go.
_REACHES = (0.03, 0.04, 0.05)
_ROUGH_REACH = 0.045
# Uncertainty of the cloud: its points are half a centimetre apart.
_MARGIN = 0.003
# Grasps nearer to each other than this hold or slip together.
_SAME_PLACE = 0.015
_SAME_YAW = 0.3
# Points this close to the outermost one touch the pad with it.
_CONTACT_DEPTH = 0.002


@dataclasses.dataclass(frozen=True)
class Grasp:
    """Where to close the fingers.

    Attributes:
      pose: x, y, z of the fingertips' centre and yaw.
      score: Estimated log-odds of success; -inf where no object can be reached.
    """

    pose: np.ndarray
    score: float


class Features(NamedTuple):
    """What tells a grasp that holds from one that slips, each in about 0 to 1.

    Attributes:
      contact: Height of the lower pad's contact above the fingertips: up to 4 mm.
      depth: Height of the object's middle above the fingertips: -30 to 10 mm.
      reach: Object between the pads, in height: up to 30 mm.
      deep_reach: The same from 30 to 50 mm.
      width: Of the object between the pads, by 100 mm.
      eccentricity: Distance of the object's middle from the pads', by 30 mm.
      contact_height: Of the smaller contact: up to 10 mm.
      contact_width: Of the smaller contact, along the pads: up to 10 mm.
      blocked: How deep a finger would be in something: up to 30 mm.
      palm: 1 if the palm would touch something.
      other: 1 if another object is between the fingers.
    """

    contact: float
    depth: float
    reach: float
    deep_reach: float
    width: float
    eccentricity: float
    contact_height: float
    contact_width: float
    blocked: float
    palm: float
    other: float


# Logistic regression on random grasps of training objects; benchmarks/grasp_score.py
# makes these numbers.
INTERCEPT = -0.75
COEFFICIENTS = Features(
    contact=1.31,
    depth=1.47,
    reach=0.60,
    deep_reach=0.59,
    width=1.19,
    eccentricity=-1.26,
    contact_height=0.26,
    contact_width=1.47,
    blocked=-0.78,
    palm=-0.58,
    other=-0.40,
)


@dataclasses.dataclass(frozen=True)
class _Cloud:
    """All objects' points in a frame turned with the gripper.

    Attributes:
      along: Along the pads' width, [P].
      across: Along the closing direction, [P].
      height: Above the floor, [P].
      owner: Which object each point is of, [P].
    """

    along: np.ndarray
    across: np.ndarray
    height: np.ndarray
    owner: np.ndarray

    def where(self, rows: np.ndarray) -> _Cloud:
        return _Cloud(
            self.along[rows], self.across[rows], self.height[rows], self.owner[rows]
        )


def best_grasp(points: tuple[np.ndarray, ...]) -> Grasp:
    """Returns the safest grasp of any object; see `safest_grasps`."""
    return next(safest_grasps(points))


def safest_grasps(points: tuple[np.ndarray, ...]) -> Iterator[Grasp]:
    """Yields grasps by falling score, each clearly another than those before.

    Args:
      points: Points all over each object's surface in the world, [P, 3] each.
    """
    yaws = (np.arange(YAWS) / YAWS - 0.5) * np.pi
    found = [grasp for yaw in yaws for grasp in _grasps_along(points, yaw)]
    found.sort(key=lambda grasp: -grasp.score)
    kept: list[Grasp] = []
    for grasp in found or [Grasp(rough_grasp(points[0]), -np.inf)]:
        if not any(_alike(grasp.pose, other.pose) for other in kept):
            kept.append(grasp)
            yield grasp


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    # Half a turn later the gripper is the same.
    turned = (one[3] - other[3] + np.pi / 2) % np.pi - np.pi / 2
    away = float(np.linalg.norm(one[:3] - other[:3]))
    return away < _SAME_PLACE and abs(turned) < _SAME_YAW


def rough_grasp(points: np.ndarray) -> np.ndarray:
    """Returns a pose over an object's middle, closing across its longer side.

    Args:
      points: [P, 3] of its surface.
    """
    middle = points.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(points[:, :2].T))
    yaw = np.arctan2(axes[1, 1], axes[0, 1])
    height = max(c.WORKSPACE_LOW[2], float(points[:, 2].max()) - _ROUGH_REACH)
    return np.array([middle[0], middle[1], height, yaw])


def turned(points: tuple[np.ndarray, ...], yaw: float) -> _Cloud:
    """Returns all objects' points as a gripper of that yaw sees them."""
    flat = np.concatenate(points)
    return _Cloud(
        along=flat[:, 0] * np.cos(yaw) + flat[:, 1] * np.sin(yaw),
        across=flat[:, 1] * np.cos(yaw) - flat[:, 0] * np.sin(yaw),
        height=flat[:, 2],
        owner=np.repeat(np.arange(len(points)), [len(cloud) for cloud in points]),
    )


def grasp_at(
    cloud: _Cloud, number: int, offset: float, reach: float, yaw: float
) -> tuple[np.ndarray, Features] | None:
    """Returns the pose that takes an object in the middle of the pads, and features.

    Args:
      cloud: `turned` by the yaw.
      number: Which object.
      offset: From its middle along the pads' width, in metres.
      reach: From the top of what is between the pads down to the fingertips.
      yaw: Of the gripper.

    Returns:
      None where nothing of it is between the pads or it does not fit.
    """
    middle = _middle(cloud, number)
    strip = _strip(cloud, middle[0] + offset)
    return _grasp_in(strip, number, middle, offset, reach, yaw)


def _grasps_along(points: tuple[np.ndarray, ...], yaw: float) -> Iterator[Grasp]:
    cloud = turned(points, yaw)
    for number in range(len(points)):
        middle = _middle(cloud, number)
        for offset in _OFFSETS:
            strip = _strip(cloud, middle[0] + offset)
            for reach in _REACHES:
                found = _grasp_in(strip, number, middle, offset, reach, yaw)
                if found is not None and inside_workspace(found[0]):
                    yield Grasp(found[0], score(found[1]))


def _middle(cloud: _Cloud, number: int) -> tuple[float, float]:
    """Returns where an object's middle is along the pads, and how high."""
    own = cloud.where(cloud.owner == number)
    return float(own.along.mean()), float(own.height.mean())


def _strip(cloud: _Cloud, along: float) -> _Cloud:
    """Returns what may be between or beneath fingers centred at `along`."""
    return cloud.where(np.abs(cloud.along - along) < c.PAD_WIDTH / 2 + _MARGIN)


def _grasp_in(
    strip: _Cloud,
    number: int,
    middle: tuple[float, float],
    offset: float,
    reach: float,
    yaw: float,
) -> tuple[np.ndarray, Features] | None:
    along = middle[0] + offset
    own = strip.owner == number
    own &= np.abs(strip.along - along) < c.PAD_WIDTH / 2
    top = float(strip.height[own].max(initial=-np.inf))
    z = max(c.WORKSPACE_LOW[2], top - reach)
    held = strip.where(own & (strip.height > z))
    if not len(held.owner):
        return None
    least, most = float(held.across.min()), float(held.across.max())
    if most - least > c.OPENING:
        return None
    across = (least + most) / 2
    place = (
        along * np.cos(yaw) - across * np.sin(yaw),
        along * np.sin(yaw) + across * np.cos(yaw),
    )
    near = strip.where(strip.height > z - _MARGIN)
    features = _features(held, near, across, z, offset, middle[1] - z)
    return np.array([*place, z, yaw]), features


def score(features: Features) -> float:
    """Returns the estimated log-odds that a grasp succeeds."""
    return INTERCEPT + float(np.dot(COEFFICIENTS, features))


def _features(
    held: _Cloud, near: _Cloud, across: float, z: float, offset: float, middle: float
) -> Features:
    width = float(np.ptp(held.across))
    reach = float(held.height.max()) - z
    left = held.where(held.across < held.across.min() + _CONTACT_DEPTH)
    right = held.where(held.across > held.across.max() - _CONTACT_DEPTH)
    away = np.abs(near.across - across)
    finger = np.abs(away - c.OPENING / 2 - c.FINGER_THICKNESS / 2)
    below = finger < c.FINGER_THICKNESS / 2 + _MARGIN
    blocked = float(near.height[below].max()) - z if below.any() else 0.0
    palm = near.height > z + c.FINGER_LENGTH - _MARGIN
    other = near.owner != held.owner[0]
    contact = min(float(left.height.mean()), float(right.height.mean())) - z
    return Features(
        contact=_ramp(contact, 0, 0.004),
        depth=_ramp(middle, -0.03, 0.01),
        reach=_ramp(reach, 0, 0.03),
        deep_reach=_ramp(reach, 0.03, 0.05),
        width=width / 0.1,
        eccentricity=abs(offset) / 0.03,
        contact_height=_ramp(min(np.ptp(left.height), np.ptp(right.height)), 0, 0.01),
        contact_width=_ramp(min(np.ptp(left.along), np.ptp(right.along)), 0, 0.01),
        blocked=_ramp(blocked, 0, 0.03),
        palm=float((palm & (away < c.OPENING / 2 + c.FINGER_THICKNESS)).any()),
        other=float((other & (away < c.OPENING / 2)).any()),
    )


def _ramp(value: float, low: float, high: float) -> float:
    """Returns 0 up to `low`, 1 from `high` on, and the way between."""
    return min(max((value - low) / (high - low), 0.0), 1.0)


def inside_workspace(pose: np.ndarray) -> bool:
    """Returns whether the fingertips may go there."""
    place = pose[:3]
    return bool((place >= c.WORKSPACE_LOW).all() and (place <= c.WORKSPACE_HIGH).all())
