"""The article's network: the action joins the image's feature map, no camera known."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from thresher.offline_rl.qt_opt.config import QtOptConfig
from thresher.offline_rl.qt_opt.inputs import action_inputs, image_name, vector_inputs
from thresher.offline_rl.qt_opt.layers import SeededLayers

Features = tuple[tf.Tensor, tf.Tensor]


class ArticleNetwork(tf.Module):
    """Tower, action embedding added to its map, more convolutions (article, fig. 12).

    Smaller than the article's 1.2 million weights for 472 x 472 images: made for
    64 x 64. The first stage of the tower is computed once per image.
    """

    def __init__(self, config: QtOptConfig, seed: int) -> None:
        super().__init__(name="article_network")
        make = SeededLayers(seed)
        self._tower = [
            make.convolution(32, 5, 2),
            make.convolution(config.filters, 3, 2),
            make.convolution(config.filters, 3),
        ]
        self._embedding = [make.dense(config.hidden_units), make.dense(config.filters)]
        self._joined = [
            make.convolution(config.filters, 3, 2),
            make.convolution(config.filters, 3, 2),
        ]
        self._head = [make.dense(config.hidden_units), make.logit()]

    def encode(self, observation: Mapping[str, tf.Tensor]) -> Features:
        """Returns the tower's map [B, h, w, C] and the other observations [B, V]."""
        feature_map = observation[image_name(observation)]
        for layer in self._tower:
            feature_map = layer(feature_map)
        return feature_map, vector_inputs(observation)

    def score(self, features: Features, action: tf.Tensor) -> tf.Tensor:
        """Returns Q before the sigmoid, [B, K, A] -> [B, K]."""
        feature_map, vector = features
        embedding = tf.concat(
            [action_inputs(action), _per_action(vector, action)], axis=-1
        )
        for layer in self._embedding:
            embedding = layer(embedding)
        joined = tf.nn.relu(feature_map[:, None] + embedding[:, :, None, None])
        joined = tf.reshape(joined, tf.concat([[-1], tf.shape(feature_map)[1:]], 0))
        joined = tf.ensure_shape(joined, [None, *feature_map.shape[1:]])
        for layer in self._joined:
            joined = layer(joined)
        hidden = tf.reshape(joined, [-1, joined.shape[1:].num_elements()])
        for layer in self._head:
            hidden = layer(hidden)
        return tf.reshape(hidden, tf.shape(action)[:2])


def _per_action(vector: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
    return tf.repeat(vector[:, None], tf.shape(action)[1], axis=1)
