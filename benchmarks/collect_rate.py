"""What collection adds to the bare world: recording, PNG, MCAP, processes, Beam.

    python benchmarks/collect_rate.py --episodes 2000

Acts the same episodes (same seeds, scenes, policy) three times: bare, by one worker and
by two, each from a fresh process. Start-up (imports, settling scenes, the first raw log
of each worker) is left out everywhere. Writes docs/results/collect_rate.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from thresher.envs.registry import make_policy, make_world
from thresher.episodes.run_record import code_revision
from thresher.pipelines.collect import (
    LOGS,
    UNIT_EPISODES,
    CollectConfig,
    collect,
    collect_units,
)

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
OPTIONS = {"object_set": "train", "bank_size": 2000}
SEED = 5


def bare_seconds(episodes: int) -> float:
    """Returns seconds for all episodes but the first raw log's worth, not recorded."""
    world = make_world("bin_grasping", **OPTIONS)
    policy = make_policy("scripted", world)
    began = 0.0
    for number in range(episodes):
        if number == UNIT_EPISODES:
            began = time.perf_counter()
        world_seed, policy_seed = np.random.SeedSequence([SEED, number]).spawn(2)
        observation, _ = world.reset(seed=int(world_seed.generate_state(1)[0]))
        policy.reset(world, np.random.default_rng(policy_seed))
        ended = False
        while not ended:
            observation, _, terminated, truncated, _ = world.step(
                policy.act(observation)
            )
            ended = terminated or truncated
    return time.perf_counter() - began


def collected(episodes: int, workers: int, folder: Path) -> tuple[float, int]:
    """Returns episodes a second without each worker's first log, and bytes of logs."""
    shutil.rmtree(folder, ignore_errors=True)
    config = CollectConfig(world_options=OPTIONS, episodes=episodes, seed=SEED)
    record = collect(config, folder, workers=workers)
    units = collect_units(config, folder / LOGS)
    # A summary is written when its unit is done.
    ends = sorted(unit.path.stat().st_mtime for unit in units)
    warm = ends[workers - 1 :]
    rate = (len(warm) - 1) * UNIT_EPISODES / (warm[-1] - warm[0])
    return rate, int(record.results["log_bytes"])


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=Path, default=Path("runs/collect_rate"))
    arguments = parser.parse_args()
    episodes = arguments.episodes
    if arguments.bare:
        print(json.dumps(bare_seconds(episodes)))
        return
    world = make_world("bin_grasping", **OPTIONS)
    world.prepare()
    world.close()
    command = [sys.executable, __file__, "--bare", "--episodes", str(episodes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    bare = (episodes - UNIT_EPISODES) / json.loads(done.stdout)
    one, size = collected(episodes, 1, arguments.runs / "one")
    two, _ = collected(episodes, 2, arguments.runs / "two")
    page = f"""# What collecting costs beside the world itself

| | episodes/s | against the bare world |
|---|---|---|
| bare world, every step rendered | {bare:.1f} | 1 |
| `thresher collect`, one worker | {one:.1f} | {one / bare:.0%} |
| `thresher collect`, two workers | {two:.1f} | {two / bare:.0%} |

Raw logs take {size / episodes * 1000 / 1e6:.1f} MB per 1,000 episodes (64×64 PNG,
{size / episodes / 1e3:.1f} kB an episode of the scripted policy).

{episodes:,} episodes of the scripted policy, the same in all rows, wall time;
{os.cpu_count()} processors, {platform.platform()}, Python {platform.python_version()},
code `{code_revision()}`. `python benchmarks/collect_rate.py --episodes {episodes}`.
"""
    (RESULTS / "collect_rate.md").write_text(page)
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
