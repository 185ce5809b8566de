"""Images vary, by no more than allowed."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from thresher.envs.grasping.geometry import Mirror
from thresher.offline_rl.augmentation import (
    Variation,
    random_brightness,
    random_colour_order,
    random_shift,
    vary,
)

SEED = tf.constant([1, 2])


def _images(count=50, size=9):
    rng = np.random.default_rng(0)
    return tf.constant(rng.uniform(size=(count, size, size, 3)), tf.float32)


def test_a_shift_moves_the_whole_image_by_whole_pixels():
    images = _images()
    shifted = random_shift(images, 2, SEED).numpy()
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    seen = set()
    for number, image in enumerate(shifted):
        matches = [
            (down, right)
            for down in range(5)
            for right in range(5)
            if np.array_equal(image, padded[number, down : down + 9, right : right + 9])
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 15


def test_no_shift_changes_nothing():
    images = _images()
    np.testing.assert_array_equal(random_shift(images, 0, SEED), images)


def test_brightness_stays_in_range_and_is_one_factor_per_image():
    images = _images() * 0.5
    ratio = random_brightness(images, 0.2, SEED).numpy() / images.numpy()
    factors = ratio.reshape(len(images), -1)
    np.testing.assert_allclose(factors.std(axis=1), 0, atol=1e-5)
    assert factors.min() >= 0.8 - 1e-5 and factors.max() <= 1.2 + 1e-5
    bright = random_brightness(tf.ones([20, 2, 2, 3]), 0.2, SEED)
    assert float(tf.reduce_max(bright)) <= 1.0


def test_the_same_seed_varies_alike():
    images = _images()
    np.testing.assert_array_equal(
        random_shift(images, 3, SEED), random_shift(images, 3, SEED)
    )


def test_colours_change_places_and_nothing_else():
    images = _images()
    changed = random_colour_order(images, SEED).numpy()
    np.testing.assert_array_equal(np.sort(changed, axis=-1), np.sort(images, axis=-1))
    orders = {
        tuple(np.argmax(np.isclose(image[0, 0, :, None], original[0, 0]), axis=1))
        for image, original in zip(changed, images.numpy())
    }
    assert len(orders) == 6


def test_a_mirrored_example_is_the_mirror_image_with_the_signs_it_says():
    mirror = Mirror({"pose": (-1.0, 1.0)}, (-1.0, 1.0, 1.0))
    pose = tf.constant([[1.0, 2.0]] * 50)
    height = tf.constant([[3.0]] * 50)
    action = tf.constant([[0.1, 0.2, 0.3]] * 50)
    observation = {"image": _images(), "pose": pose, "height": height}
    still = Variation(0, 0.0, False, mirror)
    varied, varied_action = vary(observation, action, still, SEED)
    turned = varied["pose"].numpy()[:, 0] < 0
    assert 10 < turned.sum() < 40
    np.testing.assert_array_equal(varied["height"], height)
    np.testing.assert_array_equal(varied["pose"][:, 1], pose[:, 1])
    np.testing.assert_allclose(
        varied_action, np.where(turned[:, None], [-0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    )
    images = observation["image"].numpy()
    expected = np.where(turned[:, None, None, None], images[:, :, ::-1], images)
    np.testing.assert_array_equal(varied["image"], expected)


def test_without_variation_a_batch_stays_as_it_is():
    observation, action = {"image": _images()}, tf.ones([50, 3])
    varied, same = vary(observation, action, Variation(0, 0.0, False, None), SEED)
    np.testing.assert_array_equal(varied["image"], observation["image"])
    np.testing.assert_array_equal(same, action)
