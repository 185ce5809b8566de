"""The labeller without privileged state: its two tests, and what it says of grasps."""

from __future__ import annotations

import numpy as np

from thresher.envs.grasping import labels
from thresher.envs.grasping.world import BinGrasping
from thresher.envs.registry import make_policy
from thresher.envs.rollout import rollout
from thresher.episodes.metadata import EpisodeMetadata

EMPTY = np.full((64, 64, 3), 100, np.uint8)


def _with_square(side, level):
    picture = EMPTY.copy()
    picture[:side, :side] += np.uint8(level)
    return picture


def test_both_tests_must_be_passed():
    assert labels.GraspCheck(0.01, _with_square(10, 80), EMPTY).held
    assert not labels.GraspCheck(0.001, _with_square(10, 80), EMPTY).held
    assert not labels.GraspCheck(0.01, EMPTY, EMPTY).held


def test_faint_and_tiny_differences_are_no_object():
    faint = labels.GraspCheck(0.01, _with_square(64, 20), EMPTY)
    assert faint.changed_share == 0 and not faint.held
    tiny = labels.GraspCheck(0.01, _with_square(4, 80), EMPTY)
    assert tiny.changed_share == 16 / 64**2 and not tiny.held


def test_darker_counts_as_much_as_lighter():
    assert labels.GraspCheck(0.01, EMPTY, _with_square(10, 80)).held


def test_it_mostly_agrees_with_the_truth_and_travels_with_the_episode(
    scene_cache, monkeypatch
):
    monkeypatch.setenv("THRESHER_CACHE", str(scene_cache))
    world = BinGrasping(bank_size=100, check_grasps=True)
    plain = BinGrasping(bank_size=100)
    policy = make_policy("scripted:0.85", world)
    agree = 0
    for number in range(30):
        episode = rollout(world, policy, 2, number)
        metadata = episode.metadata
        assert set(metadata.other_labels) == {labels.SOURCE}
        agree += metadata.other_labels[labels.SOURCE] is metadata.outcome.success
        assert EpisodeMetadata.from_dict(metadata.to_dict()) == metadata
        # Looking twice changes nothing in the episode itself.
        assert rollout(plain, policy, 2, number).episode_id == episode.episode_id
    assert agree >= 28
    world.close()
    plain.close()


def test_who_never_closed_holds_nothing(scene_cache, monkeypatch):
    monkeypatch.setenv("THRESHER_CACHE", str(scene_cache))
    world = BinGrasping(bank_size=100, check_grasps=True)
    world.reset(seed=0)
    infos = [world.step(np.array([0, 0, 0, 0, -1.0]))[4] for _ in range(12)]
    assert "other_labels" not in infos[0]
    assert infos[-1]["other_labels"] == {labels.SOURCE: False}
    world.close()
