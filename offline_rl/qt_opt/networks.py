"""What QT-Opt asks of a Q-network, and which families there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import tensorflow as tf

from thresher.episodes.errors import UserError
from thresher.episodes.spec import EpisodeSpec
from thresher.offline_rl.qt_opt.article import ArticleNetwork
from thresher.offline_rl.qt_opt.config import QtOptConfig
from thresher.offline_rl.qt_opt.projected import ProjectedNetwork

if TYPE_CHECKING:
    from thresher.envs.grasping.geometry import GraspGeometry

Observation = Mapping[str, tf.Tensor]


class QNetwork(Protocol):
    """A Q-function split so that the costly part is done once per image."""

    variables: Any
    trainable_variables: Any

    def encode(self, observation: Observation) -> Any:
        """Returns features of B observations; images are float [B, H, W, 3] in 0…1."""

    def score(self, features: Any, action: tf.Tensor) -> tf.Tensor:
        """Returns Q before the sigmoid of K actions each, [B, K, A] -> [B, K]."""


def make_network(
    config: QtOptConfig,
    spec: EpisodeSpec,
    geometry: GraspGeometry | None,
    seed: int,
) -> QNetwork:
    """Returns a network with its variables built.

    Raises:
      UserError: The projected network without a camera.
    """
    network: QNetwork
    if config.network == "article":
        network = ArticleNetwork(config, seed)
    elif geometry is None:
        raise UserError(
            "network 'projected' needs to know the camera and no world's geometry was "
            "given: name the world, or use network 'article'"
        )
    else:
        network = ProjectedNetwork(config, geometry, seed)
    network.score(
        network.encode(_zeros(spec)), tf.zeros([1, 1, *spec.action.shape], tf.float32)
    )
    return network


def _zeros(spec: EpisodeSpec) -> dict[str, tf.Tensor]:
    return {
        name: tf.zeros([1, *feature.shape], tf.float32)
        for name, feature in spec.observation.items()
        if feature.dtype != "str"
    }
