"""Fits the oracle's score: which features of a grasp foretell that it holds.

    python benchmarks/grasp_score.py --scenes 2000

Tries random grasps of training objects, fits a logistic regression on half of them,
and prints the coefficients for `thresher/envs/grasping/planner.py` with the success of
the best-scored grasps of the other half.
"""

from __future__ import annotations

import argparse
import multiprocessing

import numpy as np

from thresher.envs.grasping import planner
from thresher.envs.grasping.world import BinGrasping

_GRASPS_A_SCENE = 4
_SCENES_A_TASK = 50


def tried_grasps(first_scene: int) -> list[tuple[float, ...]]:
    """Returns features and success (the last entry) of random grasps."""
    world = BinGrasping(object_set="train", image_size=48)
    rows: list[tuple[float, ...]] = []
    for number in range(first_scene, first_scene + _SCENES_A_TASK):
        rng = np.random.default_rng([13, number])
        for _ in range(_GRASPS_A_SCENE):
            world.reset(seed=number)
            points = world.privileged_state().points
            yaw = rng.uniform(-np.pi / 2, np.pi / 2)
            found = planner.grasp_at(
                planner.turned(points, yaw),
                int(rng.integers(len(points))),
                offset=rng.uniform(-0.03, 0.03),
                reach=rng.choice([0.02, 0.03, 0.04, 0.05, 0.06]),
                yaw=yaw,
            )
            if found is not None and planner.inside_workspace(found[0]):
                pose, features = found
                rows.append((*features, float(world.try_grasp(pose))))
    world.close()
    return rows


def fitted(features: np.ndarray, success: np.ndarray) -> np.ndarray:
    """Returns intercept and coefficients of a logistic regression (Newton's method)."""
    inputs = np.column_stack([np.ones(len(features)), features])
    weights = np.zeros(inputs.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-inputs @ weights))
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs
        slope = inputs.T @ (success - chance) - 0.5 * weights
        weights += np.linalg.solve(curvature + 0.5 * np.eye(len(weights)), slope)
    return weights


def main() -> None:
    """Prints the fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=2000)
    scenes = parser.parse_args().scenes
    BinGrasping(object_set="train").close()  # Settles the scenes, on all processors.
    with multiprocessing.get_context("spawn").Pool() as pool:
        tasks = pool.imap(tried_grasps, range(0, scenes, _SCENES_A_TASK))
        rows = np.array([row for task in tasks for row in task])
    features, success = rows[:, :-1], rows[:, -1]
    even = np.arange(len(rows)) % 2 == 0
    weights = fitted(features[even], success[even])
    order = np.argsort(-features[~even] @ weights[1:])
    print(f"{len(rows)} grasps, {success.mean():.1%} succeed")
    for share in (0.01, 0.05, 0.1, 0.5):
        best = success[~even][order][: int(share * len(order))]
        print(f"best {share:.0%} by score: {best.mean():.1%} of {len(best)}")
    print(f"INTERCEPT = {weights[0]:.2f}")
    for name, weight in zip(planner.Features._fields, weights[1:]):
        print(f"    {name}={weight:.2f},")


if __name__ == "__main__":
    main()
