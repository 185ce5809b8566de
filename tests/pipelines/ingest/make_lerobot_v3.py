"""Writes the tiny LeRobot v3.0 datasets in `data/`, by the lerobot library itself.

It pins other versions of NumPy and PyAV than this project, so it runs in an environment
of its own: python -m venv lerobot && lerobot/bin/pip install 'lerobot[dataset]==0.6.1'
&& lerobot/bin/python make_lerobot_v3.py data
"""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import numpy as np

# Imported by name: no environment of this project holds it.
LeRobotDataset = importlib.import_module(
    "lerobot.datasets.lerobot_dataset"
).LeRobotDataset

FPS = 10
LENGTHS = (6, 4, 5)
TASKS = ("push the block", "lift the block", "push the block")
SIDE = 64
CAMERA = "observation.images.top"


def features(camera: str) -> dict:
    names = ["height", "width", "channels"]
    return {
        "observation.state": {"dtype": "float32", "shape": (3,), "names": None},
        "action": {"dtype": "float32", "shape": (2,), "names": None},
        "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
        "next.done": {"dtype": "bool", "shape": (1,), "names": None},
        CAMERA: {"dtype": camera, "shape": (SIDE, SIDE, 3), "names": names},
    }


def picture(episode: int, step: int) -> np.ndarray:
    """A grey level that tells the episode and step after lossy coding, too."""
    return np.full((SIDE, SIDE, 3), 20 + 70 * episode + 10 * step, np.uint8)


def write(root: Path, use_videos: bool) -> None:
    shutil.rmtree(root, ignore_errors=True)
    dataset = LeRobotDataset.create(
        "thresher/tiny",
        fps=FPS,
        features=features("video" if use_videos else "image"),
        root=root,
        robot_type="so100",
        use_videos=use_videos,
    )
    for episode, (length, task) in enumerate(zip(LENGTHS, TASKS)):
        for step in range(length):
            last = step == length - 1
            dataset.add_frame(
                {
                    "observation.state": np.array([episode, step, 0.5], np.float32),
                    "action": np.array([episode, -step], np.float32),
                    "next.reward": np.array([float(last)], np.float32),
                    "next.done": np.array([last]),
                    CAMERA: picture(episode, step),
                    "task": task,
                }
            )
        dataset.save_episode()
    dataset.finalize()


def main() -> None:
    folder = Path(sys.argv[1])
    write(folder / "lerobot_v3_video", use_videos=True)
    write(folder / "lerobot_v3_image", use_videos=False)


if __name__ == "__main__":
    main()
