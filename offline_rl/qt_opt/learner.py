"""QT-Opt behind the interface that all learners share."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import Transition, time_step

from thresher.episodes.errors import UserError
from thresher.episodes.spec import EpisodeSpec
from thresher.offline_rl.export import export_policy
from thresher.offline_rl.qt_opt.agent import Networks, QtOptAgent
from thresher.offline_rl.qt_opt.config import QtOptConfig
from thresher.offline_rl.qt_opt.networks import make_network
from thresher.offline_rl.transitions.cache import TransitionCache
from thresher.offline_rl.transitions.nstep import targets_name

if TYPE_CHECKING:
    from thresher.envs.grasping.geometry import GraspGeometry


class QtOptLearner:
    """A QT-Opt agent with its optimizer, seeded."""

    name = "qt-opt"

    def __init__(
        self,
        config: QtOptConfig,
        spec: EpisodeSpec,
        geometry: GraspGeometry | None,
        *,
        num_steps: int,
        seed: int,
    ) -> None:
        """Builds networks and optimizer.

        Args:
          config: Settings.
          spec: Of the episodes it will learn from.
          geometry: The camera, for the 'projected' network.
          num_steps: Length of the training: where the learning rate reaches 0.
          seed: Of everything random in it.
        """
        self.config = config
        self.n_step, self.discount = config.n_step, config.discount
        self.targets = targets_name(config.n_step)
        schedule = tf.keras.optimizers.schedules.CosineDecay(
            config.learning_rate, num_steps
        )
        self._optimizer = tf.keras.optimizers.Adam(schedule)
        networks = [make_network(config, spec, geometry, seed) for _ in range(3)]
        self._networks = Networks(*networks)
        observation_spec, action_spec = _tensor_specs(spec)
        self.agent = QtOptAgent(
            time_step.time_step_spec(observation_spec),
            action_spec,
            self._networks,
            self._optimizer,
            config,
            seed=seed,
            mirror=geometry.mirror if geometry else None,
        )
        # Nothing here needs AutoGraph, and without it tracing takes a third as long.
        traced = functools.partial(tf.function, autograph=False)
        self._train = traced(self.agent.train)
        self._evaluate = traced(self.agent.loss)
        self._score = traced(self.agent.value_logit)
        self._act = traced(self.agent.policy.best_action)

    def require_trainable(self, cache: TransitionCache) -> None:
        """Refuses rewards that a probability of success cannot stand for.

        Raises:
          UserError: A reward outside [0, 1].
        """
        low, high = float(np.min(cache.reward)), float(np.max(cache.reward))
        if low < 0 or high > 1:
            raise UserError(
                f"qt-opt learns probabilities of success from rewards in [0, 1], and "
                f"these span [{low:g}, {high:g}]: rescale the rewards"
            )

    def train_on(self, batch: Transition) -> dict[str, tf.Tensor]:
        """Takes one gradient step; returns scalars worth logging."""
        info = self._train(batch)
        return {"loss": info.loss, **info.extra}

    def evaluate_on(self, batch: Transition) -> dict[str, tf.Tensor]:
        """Returns the loss on a batch without learning from it."""
        return {"loss": self._evaluate(batch).loss}

    def act(self, observation: Mapping[str, Any], seed: Any) -> np.ndarray:
        """Returns the best actions found, float32 [B, A]; `seed` is two integers."""
        tensors = {name: tf.convert_to_tensor(v) for name, v in observation.items()}
        return self._act(tensors, tf.constant(seed, tf.int32)).numpy()

    def value(self, observation: Mapping[str, Any], action: Any) -> np.ndarray:
        """Returns Q in [0, 1] of one action per observation, float32 [B]."""
        tensors = {name: tf.convert_to_tensor(v) for name, v in observation.items()}
        return tf.sigmoid(self._score(tensors, tf.convert_to_tensor(action))).numpy()

    def trackable(self) -> tf.train.Checkpoint:
        """Returns all that must be kept to go on training as if never stopped."""
        parts = {name: getattr(self._networks, name) for name in Networks._fields}
        return tf.train.Checkpoint(
            optimizer=self._optimizer, step=self.agent.train_step_counter, **parts
        )

    def save(self, prefix: Path) -> None:
        """Writes `trackable()` to files that begin with `prefix`."""
        self.trackable().write(str(prefix))

    def restore(self, prefix: Path) -> None:
        """Reads what `save` wrote; raises if anything is missing."""
        self.trackable().read(str(prefix)).assert_consumed()

    def export(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Writes a policy folder: SavedModel, TF-Agents policy and policy.json."""
        facts = {**facts, "learner": self.name, "targets": self.targets}
        facts["config"] = dataclasses.asdict(self.config)
        export_policy(self.agent.policy, folder, facts)


def _tensor_specs(spec: EpisodeSpec) -> tuple[dict[str, tf.TensorSpec], Any]:
    observation = {
        name: tf.TensorSpec(feature.shape, feature.dtype, name)
        for name, feature in spec.observation.items()
        if feature.dtype != "str"
    }
    action = tensor_spec.BoundedTensorSpec(
        spec.action.shape, tf.float32, -1.0, 1.0, "action"
    )
    return observation, action
