"""How observations and actions enter the networks."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf


def image_name(observation: Mapping[str, tf.Tensor]) -> str:
    """Returns the name of the one observation that is an image, [B, H, W, C].

    Raises:
      ValueError: There are several, or none.
    """
    names = [name for name, value in observation.items() if value.shape.rank == 4]
    if len(names) != 1:
        raise ValueError(f"the networks see exactly one image, not {names}")
    return names[0]


def vector_inputs(observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Returns all observations but the image, side by side by name, float32 [B, V]."""
    rest = sorted(set(observation) - {image_name(observation)})
    columns = [tf.cast(observation[name], tf.float32) for name in rest]
    return tf.concat([_as_matrix(column) for column in columns], axis=-1)


def action_inputs(action: tf.Tensor) -> tf.Tensor:
    """Returns actions [..., A] whose last entry is what the world makes of it: ±1.

    Closing is a choice by the sign; how far from zero the number is means nothing,
    and a network that saw it would be misled.
    """
    choice = tf.where(action[..., -1:] > 0, 1.0, -1.0)
    return tf.concat([action[..., :-1], choice], axis=-1)


def network_observation(observation: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns float32 observations, uint8 images scaled to 0…1."""
    return {
        name: tf.cast(value, tf.float32) / 255.0
        if value.dtype == tf.uint8
        else tf.cast(value, tf.float32)
        for name, value in observation.items()
    }


def _as_matrix(column: tf.Tensor) -> tf.Tensor:
    return tf.reshape(column, [tf.shape(column)[0], column.shape[1:].num_elements()])
