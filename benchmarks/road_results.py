"""Tells what several runs of the whole road measured, as docs/results/ keeps it.

    for seed in 1 2 3; do make quickstart SEED=$seed OUT=runs/seed$seed; done
    python benchmarks/road_results.py runs/seed1 runs/seed2 runs/seed3

Reads only the records that the stations left. Writes docs/results/the_whole_road.md and
the film strips beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import Success
from thresher.eval.evaluate import read_episodes
from thresher.eval.intervals import Proportion

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
STATIONS = {
    "collect": "raw/run.json",
    "build": "datasets/bin_grasping/1.0.0/run.json",
    "train": "training/run.json",
    "evaluate random": "evaluation/random/run.json",
    "evaluate scripted": "evaluation/scripted/run.json",
    "evaluate learned": "evaluation/learned/run.json",
}
POLICIES = ("random", "scripted", "learned")
# Student's, two-sided 95 %, by the number of seeds.
_T_QUANTILES = {3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}
_ZOOM = 3
_FRAMES = 5


def success_table(roads: list[dict[str, Any]]) -> str:
    """Returns each seed's success of each policy, and the mean of the learned ones'."""
    lines = ["| seed | " + " | ".join(POLICIES) + " |", "|---" * 4 + "|"]
    for road in roads:
        cells = [str(_proportion(road, policy)) for policy in POLICIES]
        lines.append(f"| {road['seed']} | " + " | ".join(cells) + " |")
    rates = [_proportion(road, "learned").rate for road in roads]
    if len(rates) in _T_QUANTILES:
        error = statistics.stdev(rates) / len(rates) ** 0.5
        margin = _T_QUANTILES[len(rates)] * error
        mean = f"{statistics.mean(rates):.1%} ± {100 * margin:.1f}"
        lines.append(f"| mean | | | {mean}, {len(rates)} seeds |")
    return "\n".join(lines)


def cost_table(roads: list[dict[str, Any]]) -> str:
    """Returns each station's wall time and peak memory, the worst of all seeds."""
    lines = ["| station | seconds, each seed | peak memory |", "|---|---|---|"]
    for name in STATIONS:
        records = [road[name] for road in roads]
        seconds = ", ".join(f"{record['seconds']:.0f}" for record in records)
        peak = max(record["peak_memory_bytes"] for record in records) / 2**30
        lines.append(f"| {name} | {seconds} | {peak:.2f} GiB |")
    sums = [sum(road[name]["seconds"] for name in STATIONS) for road in roads]
    lines.append(f"| all | {', '.join(f'{total:.0f}' for total in sums)} | |")
    return "\n".join(lines)


def film_strips(evaluation: Path) -> Image.Image:
    """Returns the first success and the first failure that is as long, enlarged."""
    chosen: dict[Success, Episode] = {}
    for episode in read_episodes(evaluation):
        chosen.setdefault(episode.metadata.outcome.success, episode)
    rows = [_strip(chosen[success]) for success in (Success.YES, Success.NO)]
    picture = Image.fromarray(np.concatenate(rows))
    size = (picture.width * _ZOOM, picture.height * _ZOOM)
    return picture.resize(size, Image.Resampling.NEAREST)


def _strip(episode: Episode) -> np.ndarray:
    images = episode.steps["observation/image"]
    assert isinstance(images, EncodedImages)
    frames = list(images.decode()[:_FRAMES])
    frames += [np.full_like(frames[0], 255)] * (_FRAMES - len(frames))
    return np.concatenate(frames, axis=1)


def _proportion(road: dict[str, Any], policy: str) -> Proportion:
    result = road[f"evaluate {policy}"]["results"]
    return Proportion(result["successes"], result["trials"])


def _road(folder: Path) -> dict[str, Any]:
    road = {name: json.loads((folder / p).read_text()) for name, p in STATIONS.items()}
    return {"seed": road["train"]["configuration"]["seed"], **road}


def main() -> None:
    """Writes the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    folders = parser.parse_args().folders
    roads = [_road(folder) for folder in folders]
    record = roads[0]["train"]
    versions = ", ".join(f"{k} {v}" for k, v in sorted(record["versions"].items()))
    machine = record["machine"]
    commands = "\n".join(" ".join(roads[0][name]["command"]) for name in STATIONS)
    page = f"""# Results of the whole road

Success in grasping on objects never trained on, with 95 % Wilson intervals. Each seed
is a road of its own: another collection, version, training. All meet the same
evaluation scenes, so random and scripted policy do the same on every road; the mean's
interval is Student's, over seeds. Written by `benchmarks/road_results.py` from the
records of the runs; nothing was left out.

{success_table(roads)}

The learned policy's targets are Monte-Carlo returns of the collector's episodes: one
step of improvement over it, not Q-learning. The oracle planner, which is told every
object's shape, is the ceiling.

![The first success and the first failure of the learned policy](film_strips.png)

Above the first success of seed {roads[0]["seed"]}'s learned policy, below its first
failure, as the policy saw them.

## What it cost

{cost_table(roads)}

{machine["processors"]} processors, {machine["platform"]}; {versions}; code
`{record["code_revision"]}`. `make quickstart` ran these commands and `thresher report`,
with each seed; of a session that was killed outright the seconds are not known and not
counted. The first seed's collection includes settling the training
scenes, its first evaluation the evaluation scenes: once per machine.

```
{commands}
```
"""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "the_whole_road.md").write_text(page)
    film_strips(folders[0] / "evaluation" / "learned").save(
        RESULTS / "film_strips.png", optimize=True
    )


if __name__ == "__main__":
    main()
