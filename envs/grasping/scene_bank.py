"""A bank of settled scenes: settled once and kept on disk, or one by one as drawn.

Scene i of a bank is a function of the bank's parameters and i. Scenes are kept in
files of a hundred, each written whole, so a killed build goes on where it was and two
processes that build the same file write the same bytes.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thresher.envs.cache import cache_folder
from thresher.envs.grasping import constants as c
from thresher.envs.grasping.objects import object_numbers
from thresher.envs.grasping.scene import Scene
from thresher.episodes.files import atomic_write

if TYPE_CHECKING:  # the simulation loads scenes, the bank makes them with it
    from thresher.envs.grasping.simulation import Simulation

# The size of a bank of which no scene is kept: every draw is another one.
FRESH = 2**31
_CHUNK = 100
_MOST_TRIES = 20
_PHYSICS = (
    *("REVISION", "PHYSICS_STEP", "SOLVER_ITERATIONS", "SOLVER_RESIDUAL", "GRAVITY"),
    *("TRAY_HALF_WIDTH", "OBJECT_MASS", "OBJECT_FRICTION", "TRAY_FRICTION"),
    *("SETTLE_STEPS", "DROP_HALF_WIDTH", "DROP_HEIGHT", "DROP_SPACING"),
)


@dataclasses.dataclass(frozen=True)
class SceneBank:
    """The scenes of one object set.

    Attributes:
      object_set: 'train' or 'eval'.
      num_objects: Objects in each scene.
      size: Scenes in the bank; with their quarter turns four times as many.
    """

    object_set: str
    num_objects: int
    size: int

    @property
    def folder(self) -> Path:
        """Where the bank is kept; named by all that its scenes depend on."""
        facts = {name: getattr(c, name) for name in _PHYSICS}
        facts["objects"] = object_numbers(self.object_set)
        facts["num_objects"] = self.num_objects
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        name = f"{self.object_set}-{self.num_objects}-{digest.hexdigest()[:12]}"
        return cache_folder() / "scenes" / name

    def scene(self, index: int) -> Scene:
        """Returns a scene: from its file, or settled now where there is none."""
        chunk, row = divmod(index, _CHUNK)
        name = f"{self.object_set}/{self.num_objects}/{index:06d}"
        if self.size == FRESH or not self.chunk_file(chunk).exists():
            return dataclasses.replace(
                settled_scene(_settling(), self, index), name=name
            )
        numbers, positions, orientations = _read_chunk(self.chunk_file(chunk))
        return Scene(name, numbers[row], positions[row], orientations[row])

    @property
    def chunks(self) -> range:
        """Numbers of its files, each of a hundred scenes."""
        return range(-(-self.size // _CHUNK))

    def chunk_file(self, chunk: int) -> Path:
        """Returns the file of a hundred scenes."""
        return self.folder / f"{chunk:05d}.npz"

    def settle_chunk(self, chunk: int) -> None:
        """Settles a hundred scenes and keeps them."""
        from thresher.envs.grasping.simulation import Simulation

        simulation = Simulation()
        try:
            scenes = [
                settled_scene(simulation, self, chunk * _CHUNK + row)
                for row in range(_CHUNK)
            ]
        finally:
            simulation.close()
        buffer = io.BytesIO()
        names = ("numbers", "positions", "orientations")
        arrays = {n: np.stack([getattr(s, n) for s in scenes]) for n in names}
        np.savez_compressed(buffer, **arrays)
        atomic_write(self.chunk_file(chunk), buffer.getvalue())


def settled_scene(simulation: Simulation, bank: SceneBank, index: int) -> Scene:
    """Drops objects into the tray until a heap comes to rest inside it."""
    from thresher.envs.grasping.bodies import make_object

    objects = object_numbers(bank.object_set)
    seed = [int.from_bytes(bank.object_set.encode(), "big") % 2**32, bank.num_objects]
    rng = np.random.default_rng([*seed, index])
    for _ in range(_MOST_TRIES):
        numbers = rng.choice(objects, bank.num_objects, replace=False)
        simulation.empty()
        for layer, number in enumerate(numbers):
            place = rng.uniform(-c.DROP_HALF_WIDTH, c.DROP_HALF_WIDTH, 2)
            height = c.DROP_HEIGHT + layer * c.DROP_SPACING
            turn = rng.normal(size=4)
            body = make_object(
                simulation.client,
                int(number),
                [*place, height],
                (turn / np.linalg.norm(turn)).tolist(),
            )
            simulation.objects.append(body)
        simulation.settle()
        positions, orientations = simulation.object_poses()
        inside = np.abs(positions[:, :2]).max() < c.TRAY_HALF_WIDTH
        if inside and positions[:, 2].min() > -0.01:
            return Scene("", numbers, positions, orientations)
    raise RuntimeError(
        f"no heap came to rest in the tray in {_MOST_TRIES} tries: the physics "
        "constants do not fit the objects"
    )


@functools.lru_cache(maxsize=256)
def _read_chunk(path: Path) -> tuple[np.ndarray, ...]:
    with np.load(path) as kept:
        return kept["numbers"], kept["positions"], kept["orientations"]


@functools.cache
def _settling() -> Simulation:
    """A simulation of this process for scenes that are settled one by one."""
    from thresher.envs.grasping.simulation import Simulation

    return Simulation()
