"""Which objects exist, which of them train, which evaluate, and which cannot be used.

The objects are the thousand random shapes of pybullet_data's `random_urdfs`. What a
policy must generalise over is their shape, so the two sets share no object: training
objects are those whose number is not divisible by ten, evaluation objects the others.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from pathlib import Path

from thresher.episodes.errors import UserError, unknown_name

OBJECT_COUNT = 1000
OBJECT_SETS = ("train", "eval")
UNUSABLE_FILE = "unusable_objects.json"


@functools.cache
def unusable_objects() -> dict[int, str]:
    """Returns the reason for every object that is in neither set.

    `python -m thresher.envs.grasping.find_unusable` makes the file anew.
    """
    package = importlib.resources.files("thresher.envs.grasping")
    raw = json.loads((package / UNUSABLE_FILE).read_text())
    return {int(number): reason for number, reason in raw.items()}


@functools.cache
def object_numbers(object_set: str) -> tuple[int, ...]:
    """Returns the usable objects of a set in rising order.

    Args:
      object_set: 'train' or 'eval'.

    Raises:
      UserError: There is no such set.
    """
    if object_set not in OBJECT_SETS:
        raise unknown_name("object set", object_set, OBJECT_SETS)
    usable = set(range(OBJECT_COUNT)) - set(unusable_objects())
    evaluation = {number for number in usable if number % 10 == 0}
    training = usable - evaluation
    assert not training & evaluation, "an object may not both train and evaluate"
    return tuple(sorted(training if object_set == "train" else evaluation))


def object_id(number: int) -> str:
    """Returns the name of an object in metadata: 'random_urdfs/007'."""
    return f"random_urdfs/{number:03d}"


def object_folder(number: int) -> Path:
    """Returns the folder with an object's mesh and description.

    Raises:
      UserError: pybullet_data is there but its objects are not.
    """
    import pybullet_data

    folder = Path(pybullet_data.getDataPath()) / "random_urdfs" / f"{number:03d}"
    if not folder.is_dir():
        raise UserError(
            f"{folder} does not exist: the grasping world needs the random_urdfs of "
            "pybullet's wheel; reinstall pybullet"
        )
    return folder
