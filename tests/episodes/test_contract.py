"""Each rule of the contract is broken once, by hand, and must be named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from thresher.episodes.contract import violations
from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages, encode_images
from thresher.episodes.metadata import Success
from thresher.episodes.spec import EpisodeSpec, FeatureSpec
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode


def _changed(episode: Episode, **columns) -> Episode:
    renamed = {name.replace("__", "/"): column for name, column in columns.items()}
    return dataclasses.replace(episode, steps={**episode.steps, **renamed})


def _with(episode: Episode, name: str, step, value) -> Episode:
    column = np.array(episode.steps[name])
    column[step] = value
    return _changed(episode, **{name.replace("/", "__"): column})


def _rules(episode: Episode, spec: EpisodeSpec = TINY_SPEC) -> list[str]:
    return [violation.rule for violation in violations(episode, spec)]


@pytest.mark.parametrize("success", [True, False])
@pytest.mark.parametrize("terminal", [True, False])
def test_recorded_episodes_keep_the_contract(success, terminal):
    assert _rules(tiny_episode(success=success, terminal=terminal)) == []


@pytest.mark.parametrize(
    ("name", "step", "value", "rule"),
    [
        ("observation/height", 1, np.inf, "values"),
        ("action", 1, 1.5, "values"),
        ("is_first", 2, True, "flags"),
        ("is_last", -1, False, "flags"),
        ("is_terminal", 1, True, "flags"),
        ("action", -1, 0.5, "last_step"),
        ("reward", -1, 1.0, "last_step"),
        ("discount", -1, 1.0, "last_step"),
        ("discount", -2, 1.0, "discount"),
        ("discount", 0, 0.0, "discount"),
    ],
)
def test_one_broken_value_is_named_by_its_rule(name, step, value, rule):
    broken = _with(tiny_episode(terminal=True), name, step, value)
    assert rule in _rules(broken)


def test_a_time_out_with_a_terminal_discount_is_named():
    broken = _with(tiny_episode(terminal=False, success=False), "discount", -2, 0.0)
    assert _rules(broken) == ["discount"]


def test_a_return_that_is_not_the_sum_of_rewards_is_named():
    broken = _with(tiny_episode(success=True), "reward", 0, 1.0)
    assert _rules(broken) == ["return"]


def test_a_verdict_against_the_reward_is_named():
    episode = tiny_episode(success=True)
    outcome = dataclasses.replace(episode.metadata.outcome, success=Success.NO)
    metadata = dataclasses.replace(episode.metadata, outcome=outcome)
    assert _rules(dataclasses.replace(episode, metadata=metadata)) == ["outcome"]


def test_an_unknown_outcome_contradicts_nothing():
    episode = tiny_episode(success=True)
    outcome = dataclasses.replace(episode.metadata.outcome, success=Success.UNKNOWN)
    metadata = dataclasses.replace(episode.metadata, outcome=outcome)
    assert _rules(dataclasses.replace(episode, metadata=metadata)) == []


def test_missing_and_foreign_columns_are_named_once_and_nothing_else():
    episode = tiny_episode()
    steps = {k: v for k, v in episode.steps.items() if k != "reward"}
    steps["rewards"] = episode.steps["reward"]
    broken = dataclasses.replace(episode, steps=steps)
    assert _rules(broken) == ["columns", "columns"]


def test_an_episode_without_an_action_is_too_short():
    episode = tiny_episode()
    one = {name: column[:1] for name, column in episode.steps.items()}
    assert "length" in _rules(dataclasses.replace(episode, steps=one))


def test_missing_frames_are_counted():
    frames = list(tiny_episode().steps["observation/image"].frames)
    broken = _changed(
        tiny_episode(),
        observation__image=EncodedImages((*frames[:2], b"", b""), "png"),
    )
    (violation,) = violations(broken, TINY_SPEC)
    assert violation.rule == "missing_frames"
    assert "2 of 4 frames of observation/image are empty" in violation.message


def test_unreadable_wrong_kind_and_wrong_size_frames_are_named():
    episode = tiny_episode()
    frames = list(episode.steps["observation/image"].frames)
    frames[0] = b"not a picture"
    frames[1] = encode_images(np.full((1, 8, 6, 3), 99, np.uint8), "jpeg").frames[0]
    frames[2] = encode_images(np.full((1, 4, 6, 3), 99, np.uint8), "png").frames[0]
    broken = _changed(episode, observation__image=EncodedImages(tuple(frames), "png"))
    messages = [violation.message for violation in violations(broken, TINY_SPEC)]
    assert len(messages) == 3
    assert "step 0" in messages[0]
    assert "jpeg" in messages[1]
    assert "[4, 6, 3]" in messages[2]


def test_time_must_rise_where_it_is_recorded():
    time = FeatureSpec("timestamp", (), "float64", "Time.", unit="s")
    spec = dataclasses.replace(TINY_SPEC, features=(*TINY_SPEC.features, time))
    good = _changed(tiny_episode(), timestamp=np.array([0.0, 0.1, 0.2, 0.3]))
    assert _rules(good, spec) == []
    bad = _changed(tiny_episode(), timestamp=np.array([0.0, 0.1, 0.1, 0.3]))
    assert _rules(bad, spec) == ["time"]
