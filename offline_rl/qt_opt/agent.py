"""QT-Opt as a TF-Agents agent: the released TF-Agents lacks its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf
from tf_agents.agents import data_converter, tf_agent
from tf_agents.trajectories import TimeStep, Transition

from thresher.offline_rl.augmentation import Variation, vary
from thresher.offline_rl.qt_opt import losses
from thresher.offline_rl.qt_opt.cem import CemSettings, Constraint, maximise
from thresher.offline_rl.qt_opt.config import QtOptConfig
from thresher.offline_rl.qt_opt.inputs import network_observation
from thresher.offline_rl.qt_opt.networks import QNetwork
from thresher.offline_rl.qt_opt.policy import CemPolicy

if TYPE_CHECKING:
    from thresher.envs.grasping.geometry import Mirror

# Lets the averaged weights follow quickly at first, when the average of few steps
# would still be mostly the random start: min(averaging, (1 + t) / (10 + t)).
_WARM_UP = 10.0


class Networks(NamedTuple):
    """Three networks of one shape.

    Attributes:
      online: Trained.
      averaged: Moving average of it: acts, and is the first target network.
      lagged: A copy of the averaged one from some steps ago: the second.
    """

    online: QNetwork
    averaged: QNetwork
    lagged: QNetwork


class QtOptAgent(tf_agent.TFAgent):
    """Trains Q by cross-entropy towards n-step targets.

    The target of a transition is its n-step reward plus, unless the episode ended for
    good within the n steps, the discounted value of the observation reached: the
    smaller of two lagged networks' Q at the action that CEM finds best for the first
    (article, sec. 4.2). With whole-episode returns only time-outs still bootstrap.
    """

    def __init__(
        self,
        time_step_spec: TimeStep,
        action_spec: Any,
        networks: Networks,
        optimizer: tf.keras.optimizers.Optimizer,
        config: QtOptConfig,
        *,
        seed: int,
        mirror: Mirror | None = None,
        constrain: Constraint | None = None,
    ) -> None:
        """Wires the parts; `optimizer` trains `networks.online`."""
        self._networks, self._optimizer, self._config = networks, optimizer, config
        self._seed, self._mirror, self._constrain = seed, mirror, constrain
        acting = CemSettings(
            config.act_samples, config.act_elites, config.act_iterations
        )
        policy = CemPolicy(
            time_step_spec, action_spec, networks.averaged, acting, constrain
        )
        super().__init__(
            time_step_spec,
            action_spec,
            policy,
            policy,
            train_sequence_length=2,
            train_step_counter=tf.Variable(0, dtype=tf.int64, trainable=False),
        )
        self._as_transition = data_converter.AsTransition(
            self.data_context, squeeze_time_dim=True
        )
        self._optimizer.build(networks.online.trainable_variables)
        for target in (networks.averaged, networks.lagged):
            _copy(networks.online, target)

    def _train(
        self, experience: Any, weights: tf.Tensor | None = None
    ) -> tf_agent.LossInfo:
        transition = self._as_transition(experience)
        seed = tf.stack([self._seed, tf.cast(self.train_step_counter, tf.int32)])
        target = self._targets(transition.next_time_step, seed)
        variables = self._networks.online.trainable_variables
        with tf.GradientTape() as tape:
            logit = self._logit(transition, tf.random.fold_in(seed, 1))
            losses_b = losses.cross_entropy_loss(logit, target)
            loss = tf.reduce_mean(losses_b if weights is None else losses_b * weights)
        gradients = tape.gradient(loss, variables)
        self._optimizer.apply_gradients(zip(gradients, variables))
        self.train_step_counter.assign_add(1)
        self._update_targets()
        value = tf.sigmoid(logit)
        extra = {
            "q_mean": tf.reduce_mean(value),
            "target_mean": tf.reduce_mean(target),
            "absolute_error": tf.reduce_mean(tf.abs(value - target)),
            "gradient_norm": tf.linalg.global_norm(gradients),
        }
        return tf_agent.LossInfo(loss, extra)

    def _loss(
        self,
        experience: Any,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf_agent.LossInfo:
        """Returns the averaged network's loss on a batch, without augmentation."""
        transition = self._as_transition(experience)
        seed = tf.stack([self._seed, tf.constant(-1)])
        target = self._targets(transition.next_time_step, seed)
        logit = self.value_logit(
            transition.time_step.observation, transition.action_step.action
        )
        losses_b = losses.cross_entropy_loss(logit, target)
        loss = tf.reduce_mean(losses_b if weights is None else losses_b * weights)
        return tf_agent.LossInfo(loss, ())

    def value_logit(
        self, observation: Mapping[str, tf.Tensor], action: tf.Tensor
    ) -> tf.Tensor:
        """Returns the averaged network's Q before the sigmoid, [B, A] -> [B]."""
        averaged = self._networks.averaged
        features = averaged.encode(network_observation(observation))
        return averaged.score(features, action[:, None])[:, 0]

    def _logit(self, transition: Transition, seed: tf.Tensor) -> tf.Tensor:
        """Returns the trained network's Q of a batch, varied at random, [B]."""
        config, mirror = self._config, self._mirror if self._config.mirror else None
        observation, action = vary(
            network_observation(transition.time_step.observation),
            transition.action_step.action,
            Variation(
                config.shift_pixels, config.brightness, config.colour_order, mirror
            ),
            seed,
        )
        features = self._networks.online.encode(observation)
        return self._networks.online.score(features, action[:, None])[:, 0]

    def _targets(self, next_step: TimeStep, seed: tf.Tensor) -> tf.Tensor:
        discount = self._config.discount * next_step.discount
        # A search costs far more than the rest: only where something follows.
        rows = tf.where(discount > 0)
        value = tf.cond(
            tf.size(rows) > 0,
            lambda: self._values(next_step.observation, rows, seed),
            lambda: tf.zeros_like(discount),
        )
        target = losses.bellman_target(next_step.reward, discount, value)
        return tf.stop_gradient(target)

    def _values(
        self, observation: Mapping[str, tf.Tensor], rows: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """Returns V of some rows of a batch and 0 for the others, [B]."""
        chosen = {name: tf.gather_nd(v, rows) for name, v in observation.items()}
        inputs = network_observation(chosen)
        first, second = self._networks.averaged, self._networks.lagged
        features = first.encode(inputs)
        config = self._config
        best = maximise(
            lambda action: first.score(features, action),
            tf.shape(rows)[0],
            self.action_spec.shape[0],
            CemSettings(
                config.target_samples, config.target_elites, config.target_iterations
            ),
            seed,
            self._constrain,
        )
        again = second.score(second.encode(inputs), best.action[:, None])[:, 0]
        value = losses.clipped_double_value(best.score, again)
        count = tf.shape(next(iter(observation.values())), out_type=tf.int64)[:1]
        return tf.scatter_nd(rows, value, count)

    def _update_targets(self) -> None:
        step = tf.cast(self.train_step_counter, tf.float32)
        decay = tf.minimum(self._config.averaging, (1 + step) / (_WARM_UP + step))
        online, averaged, lagged = self._networks
        for source, target in zip(online.variables, averaged.variables):
            target.assign(decay * target + (1 - decay) * source)
        tf.cond(
            tf.equal(self.train_step_counter % self._config.lag_steps, 0),
            lambda: _copy(averaged, lagged),
            tf.no_op,
        )


def _copy(source: QNetwork, target: QNetwork) -> tf.Operation:
    pairs = zip(source.variables, target.variables)
    return tf.group(*[written.assign(read) for read, written in pairs])
