"""Image augmentation: what must not matter is varied while training."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from thresher.envs.grasping.geometry import Mirror


@dataclasses.dataclass(frozen=True)
class Variation:
    """What is varied, and how far.

    Attributes:
      shift_pixels: Largest shift of an image each way.
      brightness: Largest relative change of an image's brightness.
      colour_order: Whether colours are exchanged.
      mirror: How a mirrored example follows from its original; None: none is.
    """

    shift_pixels: int
    brightness: float
    colour_order: bool
    mirror: Mirror | None


def vary(
    observation: Mapping[str, tf.Tensor],
    action: tf.Tensor,
    variation: Variation,
    seed: tf.Tensor,
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Returns a batch with each example varied at random.

    Args:
      observation: Floats [B, …]; images are [B, H, W, 3] in [0, 1].
      action: [B, A].
      variation: How.
      seed: int32 [2].
    """
    seeds = [tf.random.fold_in(seed, part) for part in range(3)]
    varied = dict(observation)
    for name, value in varied.items():
        if value.shape.rank == 4:
            value = random_shift(value, variation.shift_pixels, seed)
            value = random_brightness(value, variation.brightness, seeds[0])
            if variation.colour_order:
                value = random_colour_order(value, seeds[1])
            varied[name] = value
    if variation.mirror is None:
        return varied, action
    rows = tf.random.stateless_uniform([tf.shape(action)[0]], seeds[2]) < 0.5
    signs = variation.mirror.observation
    for name, value in varied.items():
        if value.shape.rank == 4 or name in signs:
            varied[name] = mirrored(value, signs.get(name), rows)
    return varied, mirrored(action, variation.mirror.action, rows)


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


def random_colour_order(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Exchanges red, green and blue of each image at random.

    Args:
      images: [B, H, W, 3].
      seed: int32 [2].
    """
    orders = tf.constant(list(itertools.permutations(range(3))))
    chosen = tf.random.stateless_uniform(
        [tf.shape(images)[0]], seed, 0, orders.shape[0], tf.int32
    )
    exchange = tf.one_hot(tf.gather(orders, chosen), 3, dtype=images.dtype)
    return tf.einsum("bhwc,bdc->bhwd", images, exchange)


def mirrored(
    value: tf.Tensor, signs: Sequence[float] | None, rows: tf.Tensor
) -> tf.Tensor:
    """Mirrors some rows of a batch left to right.

    Args:
      value: Images [B, H, W, C], or numbers [B, A].
      signs: For numbers, what to multiply their entries with: [A]; None for images.
      rows: Which to mirror, bool [B].
    """
    if signs is None:
        return tf.where(rows[:, None, None, None], value[:, :, ::-1], value)
    return tf.where(rows[:, None], value * tf.constant(signs, value.dtype), value)


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
