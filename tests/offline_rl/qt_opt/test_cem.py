"""The cross-entropy method finds maxima, obeys bounds and repeats itself."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from thresher.offline_rl.qt_opt.cem import CemSettings, maximise

SETTINGS = CemSettings(samples=64, elites=6, iterations=6)
SEED = tf.constant([3, 4])
PEAKS = np.array([[0.5, -0.25, 0.0, 0.75], [-0.6, 0.1, 0.9, -0.3]], np.float32)
CHOICES = np.array([1.0, -1.0], np.float32)


def _bowl(action):
    """Highest at PEAKS with the right choice, one problem per batch row."""
    miss = tf.reduce_sum((action[..., :4] - PEAKS[:, None]) ** 2, axis=-1)
    return -miss - tf.abs(action[..., 4] - CHOICES[:, None])


def _search(score=_bowl, seed=SEED, settings=SETTINGS, constrain=None):
    return maximise(score, tf.constant(2), 5, settings, seed, constrain)


def test_it_finds_the_maximum_of_a_known_function():
    found = _search()
    np.testing.assert_allclose(found.action[:, :4], PEAKS, atol=0.1)
    np.testing.assert_array_equal(found.action[:, 4], CHOICES)
    np.testing.assert_allclose(found.score, _bowl(found.action[:, None])[:, 0])


def test_more_iterations_are_never_worse():
    scores = [
        _search(settings=SETTINGS._replace(iterations=n)).score for n in (1, 2, 6)
    ]
    assert np.all(scores[0] <= scores[1]) and np.all(scores[1] <= scores[2])


def test_the_same_seed_gives_the_same_action():
    np.testing.assert_array_equal(_search().action, _search().action)
    other = _search(seed=tf.constant([3, 5]))
    assert not np.array_equal(other.action, _search().action)


def test_actions_stay_in_bounds_when_the_maximum_lies_outside():
    found = _search(score=lambda action: tf.reduce_sum(action[..., :4], axis=-1))
    assert np.all(np.abs(found.action) <= 1.0)
    assert np.all(found.action[:, :4] > 0.7)


def test_unsafe_actions_are_cut_and_rejected():
    def constrain(action):
        cut = tf.concat([tf.minimum(action[..., :1], 0.2), action[..., 1:]], axis=-1)
        return cut, action[..., 4] < 0

    found = _search(constrain=constrain)
    assert np.all(found.action[:, 0] <= 0.2)
    # The first problem would rather close; it is not allowed to.
    np.testing.assert_array_equal(found.action[:, 4], [-1.0, -1.0])


def test_a_continuous_last_entry_is_searched_like_the_others():
    settings = SETTINGS._replace(binary=False)
    found = _search(lambda action: -tf.abs(action[..., 4] - 0.3), settings=settings)
    np.testing.assert_allclose(found.action[:, 4], 0.3, atol=0.05)


def test_an_empty_batch_is_no_error():
    found = maximise(lambda action: action[..., 0], tf.constant(0), 5, SETTINGS, SEED)
    assert found.action.shape == (0, 5)
