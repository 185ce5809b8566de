"""Image augmentation: what must not matter is varied while training."""

from __future__ import annotations

import tensorflow as tf


def random_shift(images: tf.Tensor, max_pixels: int, seed: tf.Tensor) -> tf.Tensor:
    """Shifts each image by whole pixels, repeating its border (DrQ, arXiv 2004.13649).

    Args:
      images: [B, H, W, C], any dtype.
      max_pixels: Largest shift in each direction, at least 0.
      seed: int32 [2]; the same seed shifts alike.
    """
    if max_pixels == 0:
        return images
    count, height, width = tf.unstack(tf.shape(images)[:3])
    shift = tf.random.stateless_uniform(
        [count, 2], seed, -max_pixels, max_pixels + 1, tf.int32
    )
    rows = tf.clip_by_value(tf.range(height) + shift[:, :1], 0, height - 1)
    columns = tf.clip_by_value(tf.range(width) + shift[:, 1:], 0, width - 1)
    return tf.gather(
        tf.gather(images, rows, batch_dims=1), columns, axis=2, batch_dims=1
    )


def random_brightness(
    images: tf.Tensor, max_change: float, seed: tf.Tensor
) -> tf.Tensor:
    """Multiplies each image by a factor in [1 - max_change, 1 + max_change].

    Args:
      images: Float images [B, H, W, C] in [0, 1]; stays in that range.
      max_change: At least 0 and below 1.
      seed: int32 [2].
    """
    factor = tf.random.stateless_uniform(
        [tf.shape(images)[0], 1, 1, 1], seed, 1.0 - max_change, 1.0 + max_change
    )
    return tf.clip_by_value(images * factor, 0.0, 1.0)
