"""A bank of settled scenes: settled once, kept on disk, never settled in a reset.

Scene i of a bank is a function of the bank's parameters and i. Scenes are kept in
files of a hundred, each written whole, so a killed build goes on where it was and two
processes that build the same file write the same bytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from thresher.envs.cache import cache_folder
from thresher.envs.grasping import constants as c
from thresher.envs.grasping.objects import object_numbers
from thresher.envs.grasping.scene import Scene
from thresher.episodes.files import atomic_write
from thresher.episodes.progress import progress

_CHUNK = 100
_MOST_TRIES = 20
_POLL_SECONDS = 0.2
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
        """Returns a scene; settles its hundred first where that was not done."""
        chunk, row = divmod(index, _CHUNK)
        numbers, positions, orientations = _read_chunk(self, chunk)
        return Scene(
            f"{self.object_set}/{self.num_objects}/{index:06d}",
            numbers[row],
            positions[row],
            orientations[row],
        )

    def prepare(self) -> None:
        """Settles what is missing, on all processors, with a progress bar.

        Raises:
          RuntimeError: A helper process died; what it had settled stays.
        """
        chunks = range(-(-self.size // _CHUNK))
        missing = [chunk for chunk in chunks if not self.chunk_file(chunk).exists()]
        if not missing:
            return
        done = len(chunks) - len(missing)
        title = f"settle {self.object_set} scenes (hundreds)"
        with progress(title, len(chunks), done) as bar:
            workers = min(os.cpu_count() or 1, len(missing))
            if workers == 1:
                for chunk in missing:
                    self.settle_chunk(chunk)
                    bar.advance()
                return
            with _settling([missing[i::workers] for i in range(workers)], self) as all_:
                while any(helper.poll() is None for helper in all_):
                    time.sleep(_POLL_SECONDS)
                    there = [c for c in missing if self.chunk_file(c).exists()]
                    bar.update(done + len(there))
        lost = [chunk for chunk in missing if not self.chunk_file(chunk).exists()]
        if lost:
            raise RuntimeError(
                f"settling ended without scenes {[100 * chunk for chunk in lost]} … "
                f"(exit status {[helper.returncode for helper in all_]}); start again: "
                "what is settled stays"
            )

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


@contextlib.contextmanager
def _settling(
    shares: list[list[int]], bank: SceneBank
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Starts a process for each share of a bank's chunks; none outlives the block.

    Programs of their own rather than multiprocessing's: those would run a caller's
    script again where it has no main guard, and may not be started by a pool's worker.
    """
    facts = [bank.object_set, str(bank.num_objects), str(bank.size)]
    command = [sys.executable, "-m", "thresher.envs.grasping.settle", *facts]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    helpers = [
        subprocess.Popen([*command, *map(str, share)], env=environment)
        for share in shares
    ]
    try:
        yield helpers
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()


def settled_scene(simulation, bank: SceneBank, index: int) -> Scene:  # type: ignore[no-untyped-def]
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
def _read_chunk(bank: SceneBank, chunk: int) -> tuple[np.ndarray, ...]:
    if not bank.chunk_file(chunk).exists():
        bank.settle_chunk(chunk)
    with np.load(bank.chunk_file(chunk)) as kept:
        return kept["numbers"], kept["positions"], kept["orientations"]
