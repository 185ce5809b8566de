"""Endings, worked out by hand: where this field loses its rewards."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.episodes.metadata import Success
from thresher.episodes.recorder import StepRecorder
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_metadata

_BLANK = {"image": np.full((8, 6, 3), 90, np.uint8), "height": np.array([0.5])}


def _record(rewards, *, terminated, truncated):
    recorder = StepRecorder(TINY_SPEC)
    recorder.first(_BLANK)
    for step, reward in enumerate(rewards):
        last = step == len(rewards) - 1
        recorder.step(
            [0.25 * (step + 1), 1.0],
            reward,
            _BLANK,
            terminated=terminated and last,
            truncated=truncated and last,
        )
    success = Success.YES if sum(rewards) else Success.NO
    return recorder.finish(
        tiny_metadata(success=success, episode_return=float(sum(rewards)))
    )


def test_terminal_success_rewards_the_last_action_and_stops_the_discount():
    steps = _record([0, 0, 1], terminated=True, truncated=False).steps
    assert steps["reward"].tolist() == [0, 0, 1, 0]
    assert steps["discount"].tolist() == [1, 1, 0, 0]
    assert steps["is_first"].tolist() == [True, False, False, False]
    assert steps["is_last"].tolist() == [False, False, False, True]
    assert steps["is_terminal"].tolist() == [False, False, False, True]
    assert steps["action"].tolist() == [[0.25, 1], [0.5, 1], [0.75, 1], [0, 0]]


def test_terminal_failure_has_no_reward_and_stops_the_discount():
    steps = _record([0, 0], terminated=True, truncated=False).steps
    assert steps["reward"].tolist() == [0, 0, 0]
    assert steps["discount"].tolist() == [1, 0, 0]
    assert steps["is_terminal"].tolist() == [False, False, True]


def test_a_time_out_goes_on_being_worth_something():
    steps = _record([0, 0], terminated=False, truncated=True).steps
    assert steps["discount"].tolist() == [1, 1, 0]
    assert steps["is_last"].tolist() == [False, False, True]
    assert not steps["is_terminal"].any()


def test_termination_wins_where_the_clock_ends_at_the_same_step():
    steps = _record([1], terminated=True, truncated=True).steps
    assert steps["discount"].tolist() == [0, 0]
    assert steps["is_terminal"].tolist() == [False, True]


def test_observations_are_one_more_than_actions():
    episode = _record([0, 0, 1], terminated=True, truncated=False)
    assert (episode.num_steps, episode.num_transitions) == (4, 3)
    assert episode.observation("image").decode().shape == (4, 8, 6, 3)


@pytest.mark.parametrize("order", ["no first", "after the end", "no end", "two firsts"])
def test_steps_in_an_impossible_order_are_refused(order):
    recorder = StepRecorder(TINY_SPEC)
    metadata = tiny_metadata(success=Success.NO, episode_return=0.0)
    if order == "no first":
        with pytest.raises(ValueError, match="first"):
            recorder.step([0, 0], 0.0, _BLANK, terminated=False, truncated=False)
        return
    recorder.first(_BLANK)
    if order == "two firsts":
        with pytest.raises(ValueError, match="twice"):
            recorder.first(_BLANK)
    elif order == "no end":
        with pytest.raises(ValueError, match="before the episode"):
            recorder.finish(metadata)
    else:
        recorder.step([0, 0], 0.0, _BLANK, terminated=True, truncated=False)
        with pytest.raises(ValueError, match="between"):
            recorder.step([0, 0], 0.0, _BLANK, terminated=True, truncated=False)
