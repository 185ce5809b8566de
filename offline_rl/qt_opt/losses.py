"""QT-Opt's loss and targets as pure functions (Kalashnikov et al. 2018, sec. 4.2)."""

from __future__ import annotations

import tensorflow as tf


def cross_entropy_loss(logit_t: tf.Tensor, target_t: tf.Tensor) -> tf.Tensor:
    """Returns the cross-entropy between sigmoid(logit) and the target, [B].

    Q is a probability of success here, so cross-entropy fits it better than a squared
    error does (sec. 4.2). Its least value, for a target strictly between 0 and 1, is
    the target's own entropy, not 0.

    Args:
      logit_t: Q before the sigmoid, [B].
      target_t: Target value in [0, 1], [B].
    """
    logit_t.shape.assert_is_compatible_with(target_t.shape)
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=target_t, logits=logit_t)


def clipped_double_value(first_logit: tf.Tensor, second_logit: tf.Tensor) -> tf.Tensor:
    """Returns V = min of two lagged target networks' Q, [B], in [0, 1].

    Args:
      first_logit: Of the averaged network, at the action that maximises it.
      second_logit: Of its lagged copy, at the same action.
    """
    first_logit.shape.assert_is_compatible_with(second_logit.shape)
    return tf.sigmoid(tf.minimum(first_logit, second_logit))


def bellman_target(
    reward: tf.Tensor, discount: tf.Tensor, value: tf.Tensor
) -> tf.Tensor:
    """Returns reward + discount x value, kept in [0, 1], [B].

    Args:
      reward: N-step sum of rewards, [B].
      discount: gamma^n times the environment's discounts: 0 after a terminal ending,
        [B].
      value: V of the observation n steps later, [B]; anything where discount is 0.
    """
    reward.shape.assert_is_compatible_with(discount.shape)
    reward.shape.assert_is_compatible_with(value.shape)
    return tf.clip_by_value(reward + discount * value, 0.0, 1.0)
