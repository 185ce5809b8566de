"""Draws a success and a failure in both bodies, and compares their success.

    python benchmarks/both_bodies.py --episodes 400

Evaluates oracle and scripted policy with the gantry and with the KUKA arm on the same
evaluation scenes (resumable: finished evaluations are read, not repeated). Writes
docs/results/both_bodies.md and .png.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import Success
from thresher.episodes.run_record import RunRecord, code_revision
from thresher.eval.evaluate import (
    EvaluationConfig,
    evaluate,
    proportion,
    read_episodes,
)

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
ARMS = ("gantry", "kuka")
POLICIES = ("scripted", "oracle")
_FRAMES = 6
_SIZE = 96
_ZOOM = 2


def evaluated(policy: str, arm: str, episodes: int, runs: Path) -> RunRecord:
    """Evaluates a policy with an arm."""
    options = {"image_size": _SIZE, "arm": arm}
    config = EvaluationConfig(policy, world_options=options, episodes=episodes)
    return evaluate(config, _folder(runs, policy, arm))


def strips(runs: Path) -> Image.Image:
    """Returns, for each arm, the scripted policy's first long success and failure."""
    rows = []
    for arm in ARMS:
        chosen: dict[Success, Episode] = {}
        for episode in read_episodes(_folder(runs, "scripted", arm)):
            # Longer ones show the approach, and end within the strip.
            if 4 <= episode.num_steps <= _FRAMES:
                chosen.setdefault(episode.metadata.outcome.success, episode)
        rows += [_strip(chosen[success]) for success in (Success.YES, Success.NO)]
    picture = Image.fromarray(np.concatenate(rows))
    size = (picture.width * _ZOOM, picture.height * _ZOOM)
    return picture.resize(size, Image.Resampling.NEAREST)


def _strip(episode: Episode) -> np.ndarray:
    images = episode.steps["observation/image"]
    assert isinstance(images, EncodedImages)
    frames = list(images.decode()[:_FRAMES])
    frames += [np.full_like(frames[0], 255)] * (_FRAMES - len(frames))
    return np.concatenate(frames, axis=1)


def _folder(runs: Path, policy: str, arm: str) -> Path:
    return runs / f"{policy}-{arm}"


def main() -> None:
    """Writes the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--runs", type=Path, default=Path("runs/both_bodies"))
    arguments = parser.parse_args()
    lines = ["| policy | gantry | KUKA iiwa | same outcome |", "|---|---|---|---|"]
    for policy in POLICIES:
        records = [
            evaluated(policy, arm, arguments.episodes, arguments.runs) for arm in ARMS
        ]
        rates = [str(proportion(record)) for record in records]
        outcomes = [
            [row["success"] for row in record.results["episodes"]] for record in records
        ]
        same = np.mean([one == other for one, other in zip(*outcomes)])
        lines.append(f"| {policy} | {rates[0]} | {rates[1]} | {same:.1%} |")
    strips(arguments.runs).save(RESULTS / "both_bodies.png")
    table = "\n".join(lines)
    page = f"""# The same policies with both bodies

Success on evaluation objects with 95 % Wilson intervals, the same scenes, seeds and
policies; "same outcome" is the share of scenes in which both bodies succeed or both
fail.

{table}

![A success and a failure with each body](both_bodies.png)

From above: a success and a failure of the scripted policy with the gantry, then with
the KUKA arm, as the camera saw them (96 × 96).

`python benchmarks/both_bodies.py --episodes {arguments.episodes}`, Python
{platform.python_version()}, code `{code_revision()}`.
"""
    (RESULTS / "both_bodies.md").write_text(page)
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
