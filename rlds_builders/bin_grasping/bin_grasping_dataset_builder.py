"""Bin grasping: a gripper over a tray of objects, success and failure 50 : 50."""

from __future__ import annotations

from typing import ClassVar

from thresher.episodes.spec import EpisodeSpec
from thresher.rlds_builders.sealed_builder import (
    SealedBuilder,
    dataset_recipe,
    tfds_version,
)

_RECIPE = dataset_recipe(__file__)


class Builder(SealedBuilder):
    """Grasping attempts collected in the bin-grasping world."""

    RECIPE_FILE = _RECIPE
    VERSION = tfds_version(_RECIPE)
    RELEASE_NOTES: ClassVar = dict(_RECIPE.notes)

    def default_spec(self) -> EpisodeSpec:
        """Returns the spec of the world's own settings."""
        from thresher.envs.grasping.spec import grasping_spec

        return grasping_spec()
