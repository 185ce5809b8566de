"""Layers whose first weights derive from one seed."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

_KERAS = tf.keras


class SeededLayers:
    """Makes layers; two makers of one seed make the same layers in the same order."""

    def __init__(self, seed: int) -> None:
        self._seeds = np.random.default_rng(seed)

    def _initializer(self, scale: float) -> tf.keras.initializers.Initializer:
        seed = int(self._seeds.integers(2**31))
        return _KERAS.initializers.VarianceScaling(scale=scale, seed=seed)

    def convolution(
        self, filters: int, size: int, stride: int = 1
    ) -> tf.keras.layers.Layer:
        """Returns a rectified convolution [B, H, W, C] -> [B, H/stride, …, filters]."""
        return _KERAS.layers.Conv2D(
            filters,
            size,
            stride,
            padding="same",
            activation="relu",
            kernel_initializer=self._initializer(2.0),
        )

    def dense(self, units: int) -> tf.keras.layers.Layer:
        """Returns a rectified dense layer."""
        return _KERAS.layers.Dense(
            units, activation="relu", kernel_initializer=self._initializer(2.0)
        )

    def logit(self) -> tf.keras.layers.Layer:
        """Returns a linear layer of one output that starts near 0: Q near one half."""
        return _KERAS.layers.Dense(1, kernel_initializer=self._initializer(0.01))
