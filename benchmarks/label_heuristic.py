"""Measures the labeller that uses no privileged state against the simulator's truth.

    python benchmarks/label_heuristic.py

Grasps of scripted policies of several skills, so that there are many of either outcome.
The thresholds in thresher/envs/grasping/labels.py were chosen on training objects; this
prints the choice and measures it on evaluation objects, plain and with randomised
looks. Writes docs/results/label_heuristic.md.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thresher.envs.grasping import labels
from thresher.envs.grasping.world import BinGrasping
from thresher.envs.registry import make_policy
from thresher.episodes.progress import progress
from thresher.episodes.run_record import code_revision
from thresher.eval.intervals import Proportion

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
SKILLS = ("scripted", "scripted:0.75", "scripted:0.9")
SHARES = (0.002, 0.004, 0.006, 0.008, 0.012)


class Grasp(NamedTuple):
    """One closing of the fingers.

    Attributes:
      held: The simulator's verdict.
      opening: Of the gripper after the lift, metres.
      changed_share: Of the two pictures' pixels.
    """

    held: bool
    opening: float
    changed_share: float


def grasps(count: int, seed: int, **options: object) -> Iterator[Grasp]:
    """Yields grasps of all skills in turn; episodes without closing do not count."""
    world = BinGrasping(check_grasps=True, **options)  # type: ignore[arg-type]
    world.prepare(count)
    checks: list[labels.GraspCheck] = []
    look = world._grasp_check

    def remember() -> labels.GraspCheck:
        checks.append(look())
        return checks[-1]

    world._grasp_check = remember  # type: ignore[method-assign]
    policies = [make_policy(skill, world) for skill in SKILLS]
    done = number = 0
    while done < count:
        policy = policies[number % len(policies)]
        observation, _ = world.reset(seed=seed + number)
        policy.reset(world, np.random.default_rng([seed, number]))
        ended, number = False, number + 1
        while not ended:
            observation, _, closed, timed_out, info = world.step(
                policy.act(observation)
            )
            ended = closed or timed_out
        if closed:
            done += 1
            check = checks.pop()
            yield Grasp(info["success"], check.opening, check.changed_share)
    world.close()


def collected(title: str, count: int, seed: int, **options: object) -> list[Grasp]:
    """Returns grasps, with a progress bar."""
    found = []
    with progress(title, count) as bar:
        for grasp in grasps(count, seed, **options):
            found.append(grasp)
            bar.advance()
    return found


def said(grasp: Grasp, least_share: float) -> bool:
    """Returns the labeller's verdict at a threshold."""
    return grasp.opening > labels.MIN_OPENING and grasp.changed_share > least_share


def row(name: str, found: list[Grasp], least_share: float) -> str:
    """Returns a table row: counts, precision and recall."""
    verdicts = [(said(grasp, least_share), grasp.held) for grasp in found]
    right = sum(verdict and held for verdict, held in verdicts)
    precision = Proportion(right, sum(verdict for verdict, _ in verdicts))
    recall = Proportion(right, sum(held for _, held in verdicts))
    agree = Proportion(sum(v == h for v, h in verdicts), len(verdicts))
    return f"| {name} | {len(found)} | {precision} | {recall} | {agree} |"


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grasps", type=int, default=2500)
    count = parser.parse_args().grasps
    training = collected("training objects", count // 2, 1)
    plain = collected("evaluation objects", count, 2, object_set="eval")
    looks = collected(
        "evaluation objects, looks", count, 3, object_set="eval", randomise="looks"
    )
    head = "| | grasps | precision | recall | agreement |\n|---|---|---|---|---|\n"
    choice = "\n".join(row(f"{share:.1%}", training, share) for share in SHARES)
    measured = "\n".join(
        row(name, found, labels.MIN_CHANGED_SHARE)
        for name, found in (("plain", plain), ("randomised looks", looks))
    )
    opening_only = row("opening alone", plain, -1.0)
    page = f"""# The label that a robot can give itself

A grasp counts as held if the pads are more than {1000 * labels.MIN_OPENING:g} mm apart
after the lift, and more than {labels.MIN_CHANGED_SHARE:.1%} of the picture changed by
more than {labels.CHANGED_LEVELS} grey levels in some channel when the gripper let go
and brought its fingers back. Truth is the simulator's: an object is 6 cm higher than it
lay. Wilson intervals, 95 %.

Evaluation objects:

{head}{measured}
{opening_only}

The share of the picture was chosen on training objects:

{head}{choice}

Grasps of {", ".join(SKILLS)} in turn, 64×64 pictures.
`python benchmarks/label_heuristic.py --grasps {count}`, Python
{platform.python_version()}, code `{code_revision()}`.
"""
    (RESULTS / "label_heuristic.md").write_text(page)
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
