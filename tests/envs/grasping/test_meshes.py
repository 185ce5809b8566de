"""Points on the surface of a union of convex parts, against shapes worked by hand."""

from __future__ import annotations

import itertools

import numpy as np

from thresher.envs.grasping.meshes import hull_triangles, surface_points


def _cube(low, high):
    corners = [[low, high]] * 3
    return np.array(list(itertools.product(*corners)), dtype=float)


def _points(*parts, spacing=0.1):
    return surface_points(parts, [hull_triangles(part) for part in parts], spacing)


def test_points_lie_on_the_surface():
    points = _points(_cube(0, 1))
    on_a_face = np.isclose(points, 0) | np.isclose(points, 1)
    assert on_a_face.any(axis=1).all()
    assert points.min() >= 0 and points.max() <= 1


def test_no_place_of_the_surface_is_far_from_a_point():
    points = _points(_cube(0, 1))
    rng = np.random.default_rng(0)
    places = rng.uniform(size=(200, 3))
    places[np.arange(200), rng.integers(3, size=200)] = rng.integers(2, size=200)
    distances = np.linalg.norm(places[:, None] - points, axis=-1).min(axis=1)
    assert distances.max() < 0.1


def test_what_is_inside_another_part_is_no_surface():
    inner, outer = _cube(0.4, 0.6), _cube(0, 1)
    points = _points(inner, outer)
    assert not ((points > 0.01) & (points < 0.99)).all(axis=1).any()


def test_no_two_points_are_nearly_the_same():
    points = _points(_cube(0, 1), _cube(0.5, 1.5))
    cubes = np.floor(points / 0.05).astype(int)
    assert len(np.unique(cubes, axis=0)) == len(points)
