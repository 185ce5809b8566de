"""Turns a running interaction into an episode: the one place that aligns steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thresher.episodes.episode import Episode
from thresher.episodes.images import encode_images
from thresher.episodes.metadata import EpisodeMetadata
from thresher.episodes.spec import Column, EpisodeSpec, FeatureSpec


class StepRecorder:
    """Records one episode as it happens.

    Call `first` with the initial observation, `step` after each action, `finish` at
    the end. Example::

        recorder = StepRecorder(spec)
        recorder.first(observation)
        recorder.step(action, reward, observation, terminated=…, truncated=…)
        episode = recorder.finish(metadata)

    Raises:
      ValueError: Steps in an impossible order: before `first`, after the ending, or
        `finish` before it.
    """

    def __init__(self, spec: EpisodeSpec) -> None:
        self._spec = spec
        self._observations: list[Mapping[str, Any]] = []
        self._taken: list[dict[str, Any]] = []
        self._terminated = False
        self._ended = False

    def first(self, observation: Mapping[str, Any]) -> None:
        """Starts the episode with its initial observation, by short names."""
        if self._observations:
            raise ValueError("first() was called twice; make a recorder per episode")
        self._observations.append(observation)

    def step(
        self,
        action: Any,
        reward: float,
        observation: Mapping[str, Any],
        *,
        terminated: bool,
        truncated: bool,
        **extras: Any,
    ) -> None:
        """Adds an action and what followed it.

        Args:
          action: The executed action.
          reward: The reward that followed.
          observation: The next observation, by short names.
          terminated: The world ended here: nothing can follow, discount 0.
          truncated: The clock ended here: more could have followed, discount 1.
          **extras: Values of further features of the spec, by name.
        """
        if not self._observations or self._ended:
            raise ValueError("step() belongs between first() and the ending")
        # Discount and flags follow from the ending; nobody else computes them.
        self._taken.append(
            {
                "action": action,
                "reward": reward,
                "discount": 0.0 if terminated else 1.0,
                **extras,
            }
        )
        self._observations.append(observation)
        self._terminated = terminated
        self._ended = terminated or truncated

    def finish(self, metadata: EpisodeMetadata) -> Episode:
        """Returns the episode of N = actions + 1 steps."""
        if not self._ended:
            raise ValueError("finish() before the episode terminated or was truncated")
        columns = {
            feature.name: self._column(feature) for feature in self._spec.all_features
        }
        return Episode(columns, metadata)

    def _column(self, feature: FeatureSpec) -> Column:
        count = len(self._observations)
        if feature.name in ("is_first", "is_last", "is_terminal"):
            flags = np.zeros(count, dtype=bool)
            flags[0 if feature.name == "is_first" else -1] = (
                self._terminated if feature.name == "is_terminal" else True
            )
            return flags
        column = feature.zeros(count)
        if feature.name.startswith("observation/"):
            short = feature.name.split("/", 1)[1]
            for step, observation in enumerate(self._observations):
                column[step] = observation[short]
        else:
            for step, taken in enumerate(self._taken):
                column[step] = taken[feature.name]
        return encode_images(column, feature.encoding) if feature.is_image else column
