"""From points in the world to features in an image's maps."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def square_grid(points: int, spacing: float) -> np.ndarray:
    """Returns a centred square of points, float32 [points^2, 2], in metres."""
    line = (np.arange(points) - (points - 1) / 2) * spacing
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2).astype(np.float32)


def project(projection: np.ndarray, points: tf.Tensor) -> tf.Tensor:
    """Returns where a camera sees points, as fractions of the image, [..., 2].

    Args:
      projection: [3, 4], from world to a unit image: (0, 0) is the upper left corner,
        (1, 1) the lower right one.
      points: World coordinates in metres, [..., 3], in front of the camera.
    """
    seen = tf.linalg.matvec(projection[:, :3], points) + projection[:, 3]
    return seen[..., :2] / seen[..., 2:]


def read_map(feature_map: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Reads maps between their cells, bilinearly; outside, the nearest border.

    Args:
      feature_map: [B, h, w, C]; cell (i, j) covers an equal part of the image.
      places: Fractions of the image (to the right, down), [B, K, P, 2].

    Returns:
      The features of the P points side by side, [B, K, P * C].
    """
    _, height, width, channels = feature_map.shape
    count = tf.shape(feature_map)[0]
    size = tf.constant([width, height], tf.float32)
    place = tf.clip_by_value(places * size - 0.5, 0.0, size - 1.0)
    corner = tf.minimum(tf.floor(place), size - 2.0)
    right, down = tf.unstack(place - corner, axis=-1)
    column, row = tf.unstack(tf.cast(corner, tf.int32), axis=-1)
    image = tf.reshape(tf.range(count) * height * width, [-1, 1, 1])
    index = image + row * width + column
    cells = tf.reshape(feature_map, [-1, channels])
    corners = (
        (0, (1 - down) * (1 - right)),
        (1, (1 - down) * right),
        (width, down * (1 - right)),
        (width + 1, down * right),
    )
    read = tf.add_n(
        [
            tf.gather(cells, index + offset) * weight[..., None]
            for offset, weight in corners
        ]
    )
    shape = tf.shape(places)
    points = places.shape[2]
    return tf.reshape(read, [shape[0], shape[1], points * channels])
