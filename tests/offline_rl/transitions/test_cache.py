"""The memory-mapped table of steps."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.metadata import Success
from thresher.offline_rl.transitions.cache import CacheWriter, open_cache
from thresher.tests.offline_rl.toy_reaching import SPEC, cache_of, toy_episode


def test_a_cache_holds_what_the_episodes_held(tmp_path):
    episodes = [toy_episode(number) for number in range(20)]
    cache = cache_of(tmp_path / "cache", episodes)
    assert cache.num_episodes == 20
    assert cache.num_steps == sum(episode.num_steps for episode in episodes)
    assert cache.num_transitions == cache.num_steps - 20
    for number, episode in enumerate(episodes):
        rows = slice(cache.episode_starts[number], cache.episode_starts[number + 1])
        images = episode.observation("image").decode()
        np.testing.assert_array_equal(cache.observation["image"][rows], images)
        np.testing.assert_array_equal(cache.action[rows], episode.steps["action"])
        np.testing.assert_array_equal(cache.reward[rows], episode.steps["reward"])
        np.testing.assert_array_equal(cache.is_last[rows], episode.steps["is_last"])
        known = episode.metadata.outcome.success is Success.YES
        assert cache.success[number] == known


def test_arrays_are_mapped_not_read(tmp_path):
    cache = cache_of(tmp_path / "cache", [toy_episode(0)])
    assert isinstance(cache.observation["image"], np.memmap)
    assert not cache.action.flags.writeable


def test_rows_know_their_episode(tmp_path):
    cache = cache_of(tmp_path / "cache", [toy_episode(n) for n in range(5)])
    rows = np.arange(cache.num_steps)
    counted = np.repeat(np.arange(5), np.diff(cache.episode_starts))
    np.testing.assert_array_equal(cache.episode_of(rows), counted)


def test_an_unfinished_cache_does_not_open(tmp_path):
    writer = CacheWriter(tmp_path / "cache", SPEC, num_steps=10, num_episodes=2)
    writer.add_episode(toy_episode(0))
    with pytest.raises(FileNotFoundError):
        open_cache(tmp_path / "cache")


def test_fewer_steps_than_announced_are_noticed(tmp_path):
    writer = CacheWriter(tmp_path / "cache", SPEC, num_steps=100, num_episodes=2)
    with pytest.raises(ValueError, match="1 episodes of .* of 100 were announced"):
        with writer:
            writer.add_episode(toy_episode(0))


def test_a_disk_without_room_is_refused_before_writing(tmp_path):
    with pytest.raises(UserError, match="not enough disk space"):
        CacheWriter(tmp_path / "cache", SPEC, num_steps=10**12, num_episodes=1)
    assert not (tmp_path / "cache").exists()
