"""Geometry of convex parts: reading, simplifying, hulls, points on a surface."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def read_convex_parts(path: Path) -> list[np.ndarray]:
    """Reads an OBJ file whose groups are convex parts.

    Returns:
      One float64 [V, 3] array of vertices per group that has any, in file units.
    """
    parts: list[list[list[float]]] = []
    for line in path.read_text().splitlines():
        if line.startswith("o "):
            parts.append([])
        elif line.startswith("v "):
            parts[-1].append([float(word) for word in line.split()[1:4]])
    return [np.array(part) for part in parts if part]


@functools.lru_cache(maxsize=1)
def _directions() -> np.ndarray:
    """Returns [D, 3] unit vectors spread evenly (a Fibonacci sphere)."""
    count = 200
    index = np.arange(count) + 0.5
    height = 1 - 2 * index / count
    turn = np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=1)


def simplify_convex(points: np.ndarray, tolerance: float) -> np.ndarray:
    """Returns the few points whose hull is the hull of all, up to a tolerance.

    Adds the farthest point in the direction that is worst served until no direction
    lacks more than `tolerance`.

    Args:
      points: [V, 3] vertices of a convex part.
      tolerance: In the unit of the points.

    Returns:
      [W, 3], W <= V, rows of `points`.
    """
    reach = points @ _directions().T
    farthest = reach.argmax(axis=0)
    wanted = reach.max(axis=0)
    kept = [int(farthest[0])]
    served = reach[kept[0]].copy()
    while (wanted - served).max() > tolerance:
        worst = int((wanted - served).argmax())
        kept.append(int(farthest[worst]))
        served = np.maximum(served, reach[kept[-1]])
    return points[sorted(kept)]


def hull_triangles(points: np.ndarray) -> np.ndarray:
    """Returns the triangles of a small convex hull, facing outwards.

    Tries every triple: fine for the few dozen points that `simplify_convex` leaves.

    Args:
      points: [V, 3].

    Returns:
      [F, 3] indices into `points`, counter-clockwise from outside; empty for fewer
      than four points or a flat part.
    """
    triples = np.array(list(itertools.combinations(range(len(points)), 3)), dtype=int)
    if len(points) < 4:
        return np.zeros((0, 3), dtype=int)
    # A nudge far below any visible size makes coplanar faces triangulate uniquely.
    scale = np.ptp(points, axis=0).max()
    shaken = points + np.random.default_rng(0).normal(0, 1e-6 * scale, points.shape)
    normals, offsets = _planes(shaken[triples])
    heights = normals @ shaken.T - offsets[:, None]
    np.put_along_axis(heights, triples, 0.0, axis=1)
    below = (heights <= 0).all(axis=1)
    above = (heights >= 0).all(axis=1)
    return np.concatenate([triples[below], triples[above & ~below][:, ::-1]])


def _planes(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns normals [F, 3] (not of length one) and offsets [F] of triangles' planes.

    A point p lies outside where normal · p > offset.

    Args:
      corners: [F, 3, 3], counter-clockwise from outside.
    """
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normals, np.einsum("fd,fd->f", normals, corners[:, 0])


def surface_points(
    parts: Sequence[np.ndarray], triangles: Sequence[np.ndarray], spacing: float
) -> np.ndarray:
    """Returns points that cover the surface of a union of convex parts.

    Args:
      parts: Each part's vertices, [V, 3].
      triangles: Each part's outward faces, [F, 3].
      spacing: Greatest distance between neighbours on a face, in the unit of the
        parts; no two points share a cube of half of it.

    Returns:
      [P, 3]: vertices and points of faces, without those inside another part.
    """
    kept = []
    for part, faces in zip(parts, triangles):
        sampled = [_grid_on(part[face], spacing) for face in faces]
        points = np.concatenate([part, *sampled])
        for other, other_faces in zip(parts, triangles):
            if other is not part:
                points = points[~_inside(points, other, other_faces)]
        kept.append(points)
    points = np.concatenate(kept)
    cubes = np.floor(points / (spacing / 2)).astype(int)
    _, first = np.unique(cubes, axis=0, return_index=True)
    return points[np.sort(first)]


def _grid_on(corners: np.ndarray, spacing: float) -> np.ndarray:
    """Returns a triangular grid on a triangle, [P, 3]."""
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).max()
    return np.asarray(_grid_weights(int(np.ceil(longest / spacing))) @ corners)


@functools.cache
def _grid_weights(count: int) -> np.ndarray:
    """Returns barycentric coordinates of a grid of `count` intervals, [P, 3]."""
    first, second = np.meshgrid(np.arange(count + 1), np.arange(count + 1))
    on = first + second <= count
    weights = np.stack([first, second, count - first - second], axis=-1)[on]
    return np.asarray(weights / count)


def _inside(points: np.ndarray, part: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Returns which points lie strictly inside a convex part, bool [P]."""
    inside = ((points > part.min(axis=0)) & (points < part.max(axis=0))).all(axis=1)
    if not len(faces) or not inside.any():
        return np.zeros(len(points), dtype=bool)
    normals, offsets = _planes(part[faces])
    heights = points[inside] @ normals.T - offsets
    inside[inside] = (heights < -1e-9 * np.abs(normals).max()).all(axis=1)
    return np.asarray(inside)
