"""Losses and targets, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from thresher.offline_rl.qt_opt import losses


def test_cross_entropy_of_a_known_probability():
    # sigmoid(ln 3) = 0.75; targets certain, impossible, and the prediction itself.
    logit = tf.fill([3], math.log(3.0))
    found = losses.cross_entropy_loss(logit, tf.constant([1.0, 0.0, 0.75]))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    np.testing.assert_allclose(
        found, [-math.log(0.75), -math.log(0.25), entropy], rtol=1e-6
    )


def test_the_value_is_the_smaller_of_two_networks():
    first = tf.constant([math.log(3.0), 0.0])
    second = tf.constant([0.0, math.log(3.0)])
    found = losses.clipped_double_value(first, second)
    np.testing.assert_allclose(found, [0.5, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("reward", "discount", "value", "target"),
    [
        (1.0, 0.0, 0.8, 1.0),  # terminal success
        (0.0, 0.0, 0.8, 0.0),  # terminal failure: nothing is bootstrapped
        (0.0, 0.9, 0.8, 0.72),  # under way, or a time-out
        (0.9, 0.0, 0.8, 0.9),  # success one step ahead, n > 1
        (1.0, 0.9, 0.8, 1.0),  # never above what a probability can be
    ],
)
def test_bellman_targets(reward, discount, value, target):
    found = losses.bellman_target(
        tf.constant([reward]), tf.constant([discount]), tf.constant([value])
    )
    np.testing.assert_allclose(found, [target], rtol=1e-6)


def test_shapes_that_would_broadcast_silently_are_refused():
    with pytest.raises(ValueError, match="incompatible"):
        losses.cross_entropy_loss(tf.zeros([4, 1]), tf.zeros([4]))
