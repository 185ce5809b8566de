"""An episode's id is its content's, and its arrays cannot be changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from thresher.episodes.episode import Episode
from thresher.tests.episodes.tiny import tiny_episode


def test_a_copy_has_the_same_id_under_any_name():
    episode = tiny_episode()
    renamed = dataclasses.replace(episode.metadata, source_id="another name")
    copy = Episode(dict(episode.steps), renamed)
    assert copy.episode_id == episode.episode_id


def test_one_changed_value_changes_the_id():
    episode = tiny_episode()
    reward = np.array(episode.steps["reward"])
    reward[0] += 1e-6
    changed = Episode({**episode.steps, "reward": reward}, episode.metadata)
    assert changed.episode_id != episode.episode_id


def test_texts_are_not_confused_with_their_joints():
    metadata = tiny_episode().metadata
    first = Episode({"x": np.array(["ab", "c"], object)}, metadata)
    second = Episode({"x": np.array(["a", "bc"], object)}, metadata)
    assert first.episode_id != second.episode_id


def test_columns_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        tiny_episode().steps["reward"][0] = 5


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="differ in length"):
        Episode({"a": np.zeros(2), "b": np.zeros(3)}, tiny_episode().metadata)
