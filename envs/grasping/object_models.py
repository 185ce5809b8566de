"""An object's shape as the simulation uses it: convex parts, faces, colour."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from pathlib import Path

import numpy as np

from thresher.envs.cache import cache_folder
from thresher.envs.grasping import meshes, objects
from thresher.episodes.files import atomic_write

# The scale that random_urdfs' own descriptions give.
MESH_SCALE = 0.015
# The collision margin of the physics is 1 mm: finer detail cannot be felt, and a
# third of the vertices load and render in a third of the time.
SIMPLIFY_TOLERANCE_M = 0.001
# Fine enough that no finger fits between two points unnoticed.
SURFACE_SPACING_M = 0.005
_COLOUR = re.compile(r'<color rgba="([^"]+)"')


@dataclasses.dataclass(frozen=True)
class ObjectModel:
    """One rigid object in its own frame, metres.

    Attributes:
      number: Which of the thousand.
      parts: Convex parts, each float64 [V, 3]; concavities lie between parts.
      triangles: Outward faces of each part, int [F, 3].
      colour: Red, green, blue, opacity in [0, 1].
    """

    number: int
    parts: tuple[np.ndarray, ...]
    triangles: tuple[np.ndarray, ...]
    colour: tuple[float, ...]

    @functools.cached_property
    def points(self) -> np.ndarray:
        """Points all over its surface, half a centimetre apart: [P, 3]."""
        return meshes.surface_points(self.parts, self.triangles, SURFACE_SPACING_M)

    def collision_text(self) -> str:
        """Returns an OBJ file with one group per convex part.

        Bullet takes a hull of every vertex that a face names, once per naming: faces
        that name each vertex once are enough, and load faster than a surface.
        """
        lines = []
        start = 1
        for index, part in enumerate(self.parts):
            lines.append(f"o part{index}")
            lines += ["v {:.6f} {:.6f} {:.6f}".format(*vertex) for vertex in part]
            last = len(part) - 1
            for first in range(0, len(part), 3):
                corners = [start + min(first + step, last) for step in range(3)]
                lines.append("f {} {} {}".format(*corners))
            start += len(part)
        return "\n".join(lines) + "\n"

    def visual_text(self) -> str:
        """Returns an OBJ file of the whole surface.

        Every vertex has a normal that points away from the object's origin: smooth
        shading, and a third of the vertices of facets.
        """
        points = np.concatenate(self.parts)
        normals = points / np.linalg.norm(points, axis=1, keepdims=True)
        starts = np.cumsum([1, *(len(part) for part in self.parts)])
        lines = ["o looks"]
        lines += ["v {:.9g} {:.9g} {:.9g}".format(*vertex) for vertex in points]
        lines += ["vn {:.9g} {:.9g} {:.9g}".format(*normal) for normal in normals]
        for start, faces in zip(starts, self.triangles):
            lines += ["f {0}//{0} {1}//{1} {2}//{2}".format(*f) for f in faces + start]
        return "\n".join(lines) + "\n"


@functools.cache
def object_model(number: int) -> ObjectModel:
    """Reads and simplifies an object; every later call returns the same model."""
    folder = objects.object_folder(number)
    raw = meshes.read_convex_parts(folder / f"{number:03d}.obj")
    parts = tuple(
        meshes.simplify_convex(part * MESH_SCALE, SIMPLIFY_TOLERANCE_M) for part in raw
    )
    found = _COLOUR.search((folder / f"{number:03d}.urdf").read_text())
    colour = found.group(1).split() if found else ["0.5", "0.5", "0.5", "1"]
    return ObjectModel(
        number=number,
        parts=parts,
        triangles=tuple(meshes.hull_triangles(part) for part in parts),
        colour=tuple(float(channel) for channel in colour),
    )


@functools.cache
def collision_file(number: int) -> Path:
    """Returns the file Bullet loads an object's collision shape from; makes it once."""
    return _kept(f"{number:03d}", object_model(number).collision_text())


@functools.cache
def visual_file(number: int) -> Path:
    """Returns the file Bullet loads an object's looks from; makes it once.

    Bullet never gives back the memory of a mesh that it was handed as numbers.
    """
    return _kept(f"{number:03d}-looks", object_model(number).visual_text())


def _kept(name: str, text: str) -> Path:
    """Returns a file of the cache with that text.

    Its name holds the content's digest, so a changed simplification never reads an
    old file.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = cache_folder() / "objects" / f"{name}-{digest}.obj"
    if not path.exists():
        atomic_write(path, text)
    return path
