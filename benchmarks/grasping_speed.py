"""Speed and memory of the grasping world against the public reference, in one run.

    python benchmarks/grasping_speed.py

Rounds of ours and of the reference take turns, so that a machine that slows down slows
both. Episodes have a picture at every step, 64×64, and count from reset to end;
start-up (imports, settled scenes, the shapes' first loading) is left out. Then two
processes against one, then memory over many episodes, which goes on after a kill.
Writes docs/results/grasping_speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil

from thresher.benchmarks.reference import Reference
from thresher.envs.grasping.world import BinGrasping
from thresher.envs.policies.scripted import ScriptedPolicy
from thresher.episodes.progress import progress
from thresher.episodes.run_record import code_revision

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
BANK = 2000
_WARM_UP = 400
_MEMORY_EVERY = 1000


class Ours:
    """Our world with the scripted policy, and the steps that it took."""

    def __init__(self) -> None:
        self._world = BinGrasping(bank_size=BANK)
        self._policy = ScriptedPolicy.preset()
        self.steps = 0

    def episode(self, seed: int) -> None:
        """Acts out one episode."""
        observation, _ = self._world.reset(seed=seed)
        self._policy.reset(self._world, np.random.default_rng(seed))
        ended = False
        while not ended:
            observation, _, terminated, truncated, _ = self._world.step(
                self._policy.act(observation)
            )
            ended = terminated or truncated
            self.steps += 1


class Theirs:
    """The reference with random actions; it goes down and grasps by itself."""

    def __init__(self) -> None:
        self._world = Reference()
        self.steps = 0

    def episode(self, seed: int) -> None:
        """Acts out one episode."""
        self._world.reset(seed)
        rng = np.random.default_rng(seed)
        ended = False
        while not ended:
            ended, _ = self._world.step(rng.uniform(-1, 1, 3))
            self.steps += 1


def rate(world: Ours | Theirs, first: int, count: int) -> float:
    """Returns episodes per CPU-second."""
    began = time.process_time()
    for seed in range(first, first + count):
        world.episode(seed)
    return count / (time.process_time() - began)


def in_turns(rounds: int) -> tuple[list[float], list[float], Ours, Theirs]:
    """Returns ours' and the reference's rate in each round."""
    ours, theirs = Ours(), Theirs()
    rate(ours, 0, _WARM_UP)
    theirs.episode(0)
    ours.steps = theirs.steps = 0
    found: tuple[list[float], list[float]] = ([], [])
    with progress("ours and the reference in turns", rounds) as bar:
        for turn in range(rounds):
            found[0].append(rate(ours, 10_000 + 100 * turn, 100))
            found[1].append(rate(theirs, 10_000 + 2 * turn, 2))
            bar.advance()
    return (*found, ours, theirs)


def processes_rate(count: int, seconds: float) -> float:
    """Returns episodes per second of wall time of some processes at once, warmed up."""
    command = [sys.executable, __file__, "--worker", str(seconds)]
    workers = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    # All are warm: now, at once.
    answers = [worker.communicate("go\n")[0] for worker in workers]
    return sum(json.loads(answer) for answer in answers)


def work(seconds: float) -> None:
    """Warms up, waits to be told, and prints episodes per second."""
    ours = Ours()
    rate(ours, 0, _WARM_UP)
    print("warm", flush=True)
    sys.stdin.readline()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        ours.episode(20_000 + done)
        done += 1
    print(done / (time.perf_counter() - began))


def memory(episodes: int, path: Path) -> list[tuple[int, float]]:
    """Returns (episodes, MiB resident) of one process, going on with a killed run.

    A killed run's process is gone with its memory: the counting starts again, and
    only a whole run is reported.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(row) for row in _lines(path)]
    if rows and rows[-1][0] >= episodes:
        return [(done, mebibytes) for done, mebibytes in rows]
    path.unlink(missing_ok=True)
    ours, process, found = Ours(), psutil.Process(), []
    with progress("memory", episodes) as bar, open(path, "a") as file:
        for seed in range(episodes):
            ours.episode(seed)
            if (seed + 1) % _MEMORY_EVERY == 0:
                found.append((seed + 1, process.memory_info().rss / 2**20))
                file.write(json.dumps(found[-1]) + "\n")
                file.flush()
                bar.update(seed + 1)
    return found


def slope_of(rows: list[tuple[int, float]]) -> float:
    """Returns MiB an episode, by least squares; 0 for fewer than two rows."""
    if len(rows) < 2:
        return 0.0
    done, sizes = np.array(rows).T
    return float(np.polyfit(done, sizes, 1)[0])


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _spread(rates: list[float]) -> str:
    middle = statistics.median(rates)
    return f"{middle:.3g} ({min(rates):.3g}–{max(rates):.3g})"


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--memory-episodes", type=int, default=20_000)
    parser.add_argument("--runs", type=Path, default=Path("runs/grasping_speed"))
    parser.add_argument("--worker", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        work(arguments.worker)
        return
    BinGrasping(bank_size=BANK).prepare()
    ours, theirs, our_world, their_world = in_turns(arguments.rounds)
    alone = [processes_rate(1, arguments.seconds)]
    both = processes_rate(2, arguments.seconds)
    alone.append(processes_rate(1, arguments.seconds))
    found = memory(arguments.memory_episodes, arguments.runs / "memory.jsonl")
    settled = found[len(found) // 4 :] or found
    slope = 1000 * slope_of(settled)
    ratio = statistics.median(ours) / statistics.median(theirs)
    our_steps = our_world.steps / (100 * arguments.rounds)
    their_steps = their_world.steps / (2 * arguments.rounds)
    table = "\n".join(f"| {done:,} | {size:.0f} |" for done, size in found)
    page = f"""# Speed and memory of the grasping world

| | episodes per CPU-second | steps an episode |
|---|---|---|
| `thresher/BinGrasping-v0`, scripted policy | {_spread(ours)} | {our_steps:.1f} |
| `KukaDiverseObjectEnv`, random actions | {_spread(theirs)} | {their_steps:.1f} |
| ratio of the medians | {ratio:.0f} | |

Median of {arguments.rounds} rounds, least and greatest in brackets.

Every step rendered at 64×64, reset included, one core; the two take turns.

Two processes make {both:.1f} episodes/s, one makes {alone[0]:.1f} before and
{alone[1]:.1f} after them: {both / statistics.mean(alone):.2f} times.

Memory of one process, MiB resident; from a quarter of the run on it changes by
{slope:+.2f} MiB in 1,000 episodes (an object's shape is loaded when first seen):

| episodes | MiB |
|---|---|
{table}

{os.cpu_count()} processors, {platform.platform()}, Python {platform.python_version()},
pybullet {version("pybullet")}, gym {version("gym")}, numpy {version("numpy")}, code
`{code_revision()}`. `python benchmarks/grasping_speed.py --rounds {arguments.rounds}
--seconds {arguments.seconds:g} --memory-episodes {arguments.memory_episodes}`.
"""
    (RESULTS / "grasping_speed.md").write_text(page)
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
