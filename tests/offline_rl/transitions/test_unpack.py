"""A sealed version becomes a cache once."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

from thresher.episodes.episode import Episode
from thresher.episodes.errors import UserError
from thresher.episodes.metadata import Outcome, Success
from thresher.episodes.version import open_version
from thresher.offline_rl.transitions.unpack import (
    cached_transitions,
    require_rewards,
)
from thresher.tests.offline_rl.toy_reaching import toy_episode
from thresher.tests.offline_rl.toy_version import toy_version, write_version


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return open_version(toy_version(folder, {"train": 12, "val": 3}))


def test_the_cache_holds_the_splits_episodes(version, tmp_path):
    train = cached_transitions(version, "train", tmp_path)
    assert (train.num_episodes, train.spec) == (12, version.spec)
    # TFDS may store episodes in any order; as a set they are the ones written.
    written = {
        toy_episode(n).observation("image").decode().tobytes() for n in range(12)
    }
    starts = train.episode_starts
    images = train.observation["image"]
    cached = {
        images[first:end].tobytes() for first, end in zip(starts[:-1], starts[1:])
    }
    assert cached == written
    assert cached_transitions(version, "val", tmp_path).num_episodes == 3


def test_a_cache_is_made_once(version, tmp_path):
    first = cached_transitions(version, "val", tmp_path)
    stamp = os.stat(first.path / "cache.json").st_mtime_ns
    second = cached_transitions(version, "val", tmp_path)
    assert os.stat(second.path / "cache.json").st_mtime_ns == stamp


def test_what_a_killed_process_left_is_made_again(version, tmp_path):
    whole = cached_transitions(version, "val", tmp_path)
    (whole.path / "cache.json").unlink()
    left = whole.path.with_name("val.unfinished")
    left.mkdir()
    (left / "action.npy").write_bytes(b"half")
    again = cached_transitions(version, "val", tmp_path)
    assert again.num_episodes == 3
    assert not left.exists()


def test_an_unknown_split_is_told_the_known_ones(version, tmp_path):
    with pytest.raises(
        UserError, match="unknown split .* 'trian': did you mean 'train'"
    ):
        cached_transitions(version, "trian", tmp_path)


def test_data_without_rewards_are_refused(tmp_path):
    episode = toy_episode(0)
    steps = {**episode.steps, "reward": np.zeros(episode.num_steps, np.float32)}
    unknown = Outcome(Success.UNKNOWN, 0.0, "nobody")
    metadata = dataclasses.replace(episode.metadata, outcome=unknown)
    path = write_version(tmp_path / "data", {"train": [Episode(steps, metadata)]})
    cache = cached_transitions(open_version(path), "train", tmp_path / "cache")
    with pytest.raises(UserError, match=r"no reward in any of its 1 episodes \(1 of"):
        require_rewards(cache, "split 'train'")
