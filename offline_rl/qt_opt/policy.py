"""Acting: the action that CEM finds best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tf_agents.policies import tf_policy
from tf_agents.trajectories import TimeStep, policy_step

from thresher.offline_rl.qt_opt.cem import CemSettings, Constraint, maximise
from thresher.offline_rl.qt_opt.inputs import network_observation
from thresher.offline_rl.qt_opt.networks import QNetwork


class CemPolicy(tf_policy.TFPolicy):
    """A TF-Agents policy that maximises a Q-network by the cross-entropy method."""

    def __init__(
        self,
        time_step_spec: TimeStep,
        action_spec: Any,
        network: QNetwork,
        settings: CemSettings,
        constrain: Constraint | None = None,
    ) -> None:
        """Keeps what it needs.

        Args:
          time_step_spec: Of the observations it will see.
          action_spec: Bounded tensor spec of one action [A] in [-1, 1].
          network: Scores actions.
          settings: How hard to search.
          constrain: Cuts or rejects unsafe actions while searching.
        """
        super().__init__(time_step_spec, action_spec, name="cem_policy")
        self._network = network
        self._settings = settings
        self._constrain = constrain

    @tf.autograph.experimental.do_not_convert
    def best_action(
        self, observation: Mapping[str, tf.Tensor], seed: tf.Tensor
    ) -> tf.Tensor:
        """Returns the best actions found, float32 [B, A].

        Args:
          observation: Batched, as the world gives it (uint8 images).
          seed: int32 [2]; the same seed and observation give the same action.
        """
        features = self._network.encode(network_observation(observation))
        return maximise(
            lambda action: self._network.score(features, action),
            tf.shape(next(iter(observation.values())))[0],
            self.action_spec.shape[0],
            self._settings,
            seed,
            self._constrain,
        ).action

    def _variables(self) -> Any:
        return self._network.variables

    def _action(
        self, time_step: TimeStep, policy_state: Any, seed: Any | None = None
    ) -> policy_step.PolicyStep:
        if seed is None:
            seed = tf.random.uniform([2], maxval=2**31 - 1, dtype=tf.int32)
        seed = tf.broadcast_to(tf.cast(seed, tf.int32), [2])
        action = self.best_action(time_step.observation, seed)
        return policy_step.PolicyStep(action, policy_state, ())

    def _distribution(self, time_step: TimeStep, policy_state: Any) -> Any:
        raise NotImplementedError("CEM finds an action, not a distribution of them")
