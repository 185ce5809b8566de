"""Settles some hundreds of scenes: the helper that `SceneBank.prepare` starts.

python -m thresher.envs.grasping.settle OBJECT_SET NUM_OBJECTS SIZE HUNDRED...
"""

from __future__ import annotations

import sys

from thresher.envs.grasping.scene_bank import SceneBank


def main(arguments: list[str]) -> None:
    """Settles the hundreds named by their numbers."""
    object_set, num_objects, size, *chunks = arguments
    bank = SceneBank(object_set, int(num_objects), int(size))
    for chunk in chunks:
        bank.settle_chunk(int(chunk))


if __name__ == "__main__":
    main(sys.argv[1:])
