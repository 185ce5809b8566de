"""Ranges are checked, draws lie in them, and what was drawn is what was used."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.envs.grasping.parameters import NOMINAL
from thresher.envs.grasping.randomisation import (
    _POSSIBLE,
    _PRESETS,
    Randomisation,
    randomisation,
)
from thresher.envs.grasping.world import BinGrasping
from thresher.envs.registry import make_policy
from thresher.envs.rollout import rollout
from thresher.episodes.contract import violations
from thresher.episodes.errors import UserError

NAMES = sorted(_POSSIBLE)


def _world(scene_cache, monkeypatch, **options):
    monkeypatch.setenv("THRESHER_CACHE", str(scene_cache))
    return BinGrasping(bank_size=100, **options)


def test_every_parameter_has_a_range_and_a_bound():
    ranges = {field.name for field in dataclasses.fields(Randomisation)}
    drawn = {field.name for field in dataclasses.fields(NOMINAL)}
    assert ranges == set(_POSSIBLE)
    # Colours are drawn for each body.
    assert ranges - {"colour_shift"} == drawn - {"colour_shifts"}


def test_without_ranges_of_its_own_it_draws_the_plain_world():
    drawn = Randomisation().draw(np.random.default_rng(0), 5)
    assert dataclasses.replace(drawn, colour_shifts=()) == NOMINAL


@settings(max_examples=50, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_draws_lie_in_their_ranges(data, seed):
    name = data.draw(st.sampled_from(NAMES))
    least, most = _POSSIBLE[name]
    ends = data.draw(st.tuples(*[st.floats(least, most)] * 2).map(sorted))
    drawn = Randomisation(**{name: ends}).draw(np.random.default_rng(seed), 3)
    value = drawn.colour_shifts if name == "colour_shift" else getattr(drawn, name)
    # Rounded to four digits, so that metadata can say it exactly.
    assert np.min(value) >= ends[0] - 1e-4
    assert np.max(value) <= ends[1] + 1e-4


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("lokks", "did you mean 'looks'"),
        ({"frition": (0, 1)}, "unknown randomised parameter 'frition': did you mean"),
        ({"latency": (2, 1)}, "must rise"),
        ({"latency": (0, 99)}, r"lie within \[0, 12\]"),
        ({"latency": 1}, "not two numbers"),
        ({"image_noise": (0, float("nan"))}, "must rise"),
    ],
)
def test_ranges_that_cannot_be_are_refused(wanted, words):
    with pytest.raises(UserError, match=words):
        randomisation(wanted)


@pytest.mark.parametrize("preset", sorted(_PRESETS))
def test_episodes_of_a_preset_are_whole_and_say_what_was_drawn(
    preset, scene_cache, monkeypatch
):
    world = _world(scene_cache, monkeypatch, randomise=preset)
    policy = make_policy("scripted", world)
    episodes = [rollout(world, policy, 3, n) for n in range(4)]
    for episode in episodes:
        assert violations(episode, world.episode_spec) == []
    environments = [episode.metadata.environment for episode in episodes]
    for name in _PRESETS[preset]:
        stored = "colour_shifts" if name == "colour_shift" else name
        assert len({environment[stored] for environment in environments}) == 4
    assert rollout(world, policy, 3, 0).episode_id == episodes[0].episode_id
    world.close()


def test_each_look_changes_the_picture(scene_cache, monkeypatch):
    plain = _world(scene_cache, monkeypatch)
    before = plain.reset(seed=4)[0]["image"].astype(int)
    changes = {
        "camera_offset": (0.05, 0.05),
        "camera_aim_offset": (0.05, 0.05),
        "field_of_view": (50, 50),
        "light_offset": (1.5, 1.5),
        "light_ambient": (0.1, 0.1),
        "light_colour": (0.5, 0.5),
        "colour_shift": (0.3, 0.3),
        "image_noise": (20, 20),
    }
    for name, ends in changes.items():
        world = _world(scene_cache, monkeypatch, randomise={name: ends})
        after = world.reset(seed=4)[0]["image"].astype(int)
        assert np.abs(after - before).mean() > 1, name
        world.close()
    plain.close()


def test_the_camera_says_where_it_is_in_this_episode(scene_cache, monkeypatch):
    plain = _world(scene_cache, monkeypatch)
    world = _world(scene_cache, monkeypatch, randomise={"field_of_view": (30, 30)})
    world.reset(seed=1)
    corner = np.array([0.1, 0.1, 0.0])
    near = plain.camera.project(corner) - 0.5
    enlarged = np.tan(np.radians(19)) / np.tan(np.radians(15))
    np.testing.assert_allclose(world.camera.project(corner) - 0.5, near * enlarged)


def test_dynamics_reach_the_physics(scene_cache, monkeypatch):
    """Oiled fingers hold nothing that the oracle would have held."""

    def held(**options):
        world = _world(scene_cache, monkeypatch, **options)
        policy = make_policy("oracle", world)
        runs = [rollout(world, policy, 4, n) for n in range(6)]
        world.close()
        return sum(run.metadata.outcome.episode_return for run in runs)

    slippery = {"finger_friction": (0.01, 0.01), "object_friction": (0.01, 0.01)}
    assert held(randomise=slippery) <= 2
    assert held(randomise={"object_mass": (10, 10), "finger_force": (1, 1)}) <= 1
    assert held() >= 5


def test_measurements_are_noisy_by_what_was_drawn(scene_cache, monkeypatch):
    ranges = {"position_noise": (0.01, 0.01), "yaw_noise": (0.1, 0.1)}
    world = _world(scene_cache, monkeypatch, randomise=ranges)
    errors = []
    for seed in range(200):
        seen, _ = world.reset(seed=seed)
        true = world.privileged_state().gripper_pose
        measured = [*seen["gripper_planar_pose"][:2], *seen["gripper_height"]]
        errors.append(
            [*(measured - true[:3]), seen["gripper_planar_pose"][2] - true[3]]
        )
    deviations = np.std(errors, axis=0)
    np.testing.assert_allclose(deviations[:3], 0.01, rtol=0.25)
    np.testing.assert_allclose(deviations[3], 0.1, rtol=0.25)
