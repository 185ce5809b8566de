"""Bin grasping: a gripper over a tray of objects, success and failure 50 : 50."""

from __future__ import annotations

from typing import ClassVar

import tensorflow_datasets as tfds

from thresher.episodes.spec import EpisodeSpec
from thresher.pipelines.rebalance import RebalanceConfig
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.split import SplitConfig
from thresher.rlds_builders.sealed_builder import SealedBuilder


class Builder(SealedBuilder):
    """Grasping attempts collected in the bin-grasping world."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    RECIPE = Recipe(
        name="bin_grasping",
        version="1.0.0",
        description=(
            "Attempts of a gripper with a camera over its shoulder to pick objects out "
            "of a tray, closed loop, reward 1 for an object held up at the end. The "
            "training split holds as many successes as failures."
        ),
        # Whole scenes go to one split; objects kept for evaluation never train.
        split=SplitConfig(group="scene_id", held_out=("object_set", "eval")),
        rebalance=RebalanceConfig(target=0.5, strata=("task",)),
    )

    def default_spec(self) -> EpisodeSpec:
        """Returns the spec of the world's own settings."""
        from thresher.envs.grasping.spec import grasping_spec

        return grasping_spec()
