"""Converts episodes between the alignments that datasets of this field have.

RLDS: step t holds observation, action, and the reward that followed; the last step
holds the final observation, and its action, reward and discount mean nothing. OXE (Open
X-Embodiment, and loaders made for it): the last step holds a valid action and the last
reward, and the final observation is not there.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from thresher.episodes.episode import Episode
from thresher.episodes.spec import Column, EpisodeSpec, FeatureSpec

LANGUAGE = FeatureSpec(
    "language_instruction",
    (),
    "str",
    "What the robot was told; the same at every step.",
)


def oxe_spec(spec: EpisodeSpec) -> EpisodeSpec:
    """Returns the spec of episodes that `to_oxe` made of episodes of a spec."""
    features = spec.features
    if LANGUAGE.name not in spec:
        features = (*features, LANGUAGE)
    return dataclasses.replace(spec, features=features, alignment="oxe")


def to_oxe(episode: Episode) -> Episode:
    """Returns an episode of RLDS alignment in OXE's: one step shorter.

    The final observation is left out, so the last action and the reward that followed
    stand on the step that `is_last` and, after a true ending, `is_terminal` mark. Every
    step gets the language instruction, which OXE's loaders look for there.

    Raises:
      ValueError: The episode holds no action.
    """
    if episode.num_transitions < 1:
        raise ValueError("an episode without an action has no OXE alignment")
    steps: dict[str, Column] = {
        name: column[:-1] for name, column in episode.steps.items()
    }
    last = episode.num_transitions - 1
    for flag in ("is_last", "is_terminal"):
        moved = np.zeros(last + 1, dtype=bool)
        moved[last] = episode.array(flag)[-1]
        steps[flag] = moved
    if LANGUAGE.name not in steps:
        words = np.empty(last + 1, dtype=object)
        words[:] = episode.metadata.language or episode.metadata.task
        steps[LANGUAGE.name] = words
    return Episode(steps, episode.metadata)
