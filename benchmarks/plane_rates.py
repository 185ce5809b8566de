"""Episodes a second: Thresher's build beside the TFDS builders, start-up apart.

Start-up is what the same command takes for a handful of episodes; a rate is what the
others took beyond that. It is told by wall time and by processor time of all processes.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from thresher.benchmarks.plane_inputs import Inputs
from thresher.benchmarks.plane_made import LONG, TRIAL, Made, made_logs
from thresher.benchmarks.plane_runs import TFDS, THRESHER, Results, run

HANDFUL = 50
PEER = Path(__file__).parent / "peers" / "tfds_grasping"
# Many enough that two workers have work to the end, whatever the recipe's default.
_SHARDS = 8
RUNNERS = ("thresher 1", "thresher 2", "tfds generator", "tfds beam")
LONG_RUNNERS = ("thresher 1", "derive 1", "tfds generator_256", "tfds beam_256")
TRIAL_RUNNERS = ("thresher 1", "derive 1", "tfds generator", "tfds beam")
# What start-up is measured on, by what the rate is measured on.
_HANDFULS = {
    "all": ("handful", HANDFUL),
    LONG.name: (f"{LONG.name}_handful", LONG.handful),
    TRIAL.name: (f"{TRIAL.name}_handful", TRIAL.handful),
}


def measure_rates(inputs: Inputs, results: Results, repeats: int) -> None:
    """Measures all runners in turn, so that other load meets each of them."""
    sizes = {"handful": inputs.handful, "all": inputs.logs}
    _measure(inputs, results, repeats, RUNNERS, sizes)


def measure_long(inputs: Inputs, results: Results, repeats: int) -> None:
    """Measures them on episodes of the length and size that robots record."""
    _measure(inputs, results, repeats, LONG_RUNNERS, _sizes(inputs, LONG))


def measure_trial(inputs: Inputs, results: Results, repeats: int) -> None:
    """Measures them on ten steps of random pixels each, where the targets are from."""
    _measure(inputs, results, repeats, TRIAL_RUNNERS, _sizes(inputs, TRIAL))


def _sizes(inputs: Inputs, made: Made) -> dict[str, Path]:
    return {
        _HANDFULS[made.name][0]: made_logs(inputs, made, made.handful),
        made.name: made_logs(inputs, made, made.episodes),
    }


def _measure(
    inputs: Inputs,
    results: Results,
    repeats: int,
    runners: Sequence[str],
    sizes: Mapping[str, Path],
) -> None:
    for repeat in range(repeats):
        for runner in runners:
            for size, logs in sizes.items():
                what = f"rate/{runner}/{size}/{repeat}"
                results.get(what, partial(build, inputs, runner, logs))


def build(
    inputs: Inputs, runner: str, logs: Path, rebalanced: bool = False
) -> dict[str, Any]:
    """Builds the version of some logs by one of the runners and removes it."""
    target = inputs.work / "built" / runner.replace(" ", "_")
    shutil.rmtree(target, ignore_errors=True)
    log = inputs.work / "logs_of_runs" / f"{target.name}.txt"
    tool, how = runner.split()
    if tool == "thresher":
        command = thresher_build(inputs, logs, target, int(how), rebalanced)
    elif tool == "derive":
        parent = sealed_parent(inputs, logs.parent.name, logs)
        every = ("--where", "num_steps > 0")
        command = thresher_derive(parent, target, every, int(how))
    else:
        command = tfds_build(inputs.files(logs), target, how)
    taken = run(command, log)
    shutil.rmtree(target)
    return taken.to_dict()


def thresher_build(
    inputs: Inputs,
    logs: Path,
    target: Path,
    workers: int,
    rebalanced: bool = False,
    shards: int = _SHARDS,
) -> list[str]:
    """Returns the command of a build; no number of shards leaves it to their size."""
    return [
        *(THRESHER, "build", str(inputs.recipe(rebalanced)), "--root", str(logs)),
        *("--data-dir", str(target), "--workers", str(workers)),
        *("--num-shards", str(shards)),
    ]


def sealed_parent(inputs: Inputs, name: str, logs: Path) -> Path:
    """Returns the sealed version of some logs; builds it if need be."""
    data_dir = inputs.work / "parents" / name
    version = data_dir / "grasping" / "1.0.0"
    if not version.exists():
        command = thresher_build(inputs, logs, data_dir, 2)
        run(command, inputs.work / "logs_of_runs" / f"parent_{name}.txt")
    return version


def thresher_derive(
    parent: Path, target: Path, asked: Sequence[str], workers: int = 1
) -> list[str]:
    """Returns the command of a derivation."""
    return [
        *(THRESHER, "derive", str(parent), *asked),
        *("--data-dir", str(target), "--workers", str(workers)),
    ]


def tfds_build(files: Path, target: Path, config: str) -> list[str]:
    """Returns the command of a peer's build."""
    target.mkdir(parents=True)
    return [
        *(TFDS, "build", str(PEER), "--config", config),
        *("--data_dir", str(target), "--manual_dir", str(files)),
    ]


@dataclasses.dataclass(frozen=True)
class Rate:
    """What a runner did, medians over its repeats.

    Attributes:
      startup: Seconds that a handful of episodes takes.
      wall: Episodes a second of wall time, beyond that.
      core: Episodes a second of processor time, beyond that.
      repeats: How many.
    """

    startup: float
    wall: float
    core: float
    repeats: int


def rate(results: Results, runner: str, size: str, episodes: int) -> Rate:
    """Returns the rate of a runner.

    Args:
      results: What was measured.
      runner: One of `RUNNERS`, `LONG_RUNNERS` or `TRIAL_RUNNERS`.
      size: 'all', 'long' or 'trial'.
      episodes: How many those are.
    """
    small, few = _HANDFULS[size]

    prefix, others = f"rate/{runner}", episodes - few
    startup = [one["seconds"] for one in results.all(f"{prefix}/{small}/")]
    return Rate(
        median(startup),
        others / results.beyond(prefix, (small, size), "seconds"),
        others / results.beyond(prefix, (small, size), "cpu_seconds"),
        len(results.all(f"{prefix}/{size}/")),
    )
