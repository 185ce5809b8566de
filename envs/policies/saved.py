"""An exported policy: a folder, run without the code that made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thresher.envs.world import World
from thresher.episodes.errors import UserError
from thresher.episodes.metadata import BehaviourKind


class SavedPolicy:
    """Runs `<folder>/saved_model`, whose `act(observation, seed)` is batched.

    Raises:
      UserError: The folder's description cannot be read, or the policy was trained on
        episodes of another spec than the world's.
    """

    kind = BehaviourKind.LEARNED
    noise: Mapping[str, float] = {}

    def __init__(self, folder: Path, world: World) -> None:
        self.facts = _read_facts(folder)
        self.policy_id = str(self.facts["policy_id"])
        self.policy_version = str(self.facts["policy_version"])
        _require_same_spec(self.facts, world, folder)
        # TensorFlow takes seconds to import; only those who run a model wait for it.
        import tensorflow as tf

        self._tf = tf
        self._model = tf.saved_model.load(str(folder / "saved_model"))

    def reset(self, world: World, rng: np.random.Generator) -> None:
        """Begins an episode."""
        self._rng = rng

    def act(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the model's action."""
        batch = {n: self._tf.constant(v[None]) for n, v in observation.items()}
        seed = self._rng.integers(2**31, size=2, dtype=np.int32)
        action: np.ndarray = self._model.act(batch, self._tf.constant(seed)).numpy()[0]
        return action


def _read_facts(folder: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((folder / "policy.json").read_text())
        missing = {"policy_id", "policy_version", "spec_digest"} - set(facts)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {folder / 'policy.json'}: {error}") from error
    if missing:
        raise UserError(
            f"{folder / 'policy.json'} lacks {', '.join(sorted(missing))}: export the "
            "policy again"
        )
    return facts


def _require_same_spec(facts: Mapping[str, Any], world: World, folder: Path) -> None:
    if facts["spec_digest"] != world.episode_spec.digest():
        raise UserError(
            f"the policy in {folder} was trained on episodes of another spec "
            f"({facts['spec_digest']}) than this world's "
            f"({world.episode_spec.digest()}); use the image size and world that it "
            "was trained with"
        )
