"""The grasping world: exact, safe, fair, and what Gymnasium asks for."""

from __future__ import annotations

import gymnasium
import numpy as np
import psutil
import pytest
from gymnasium.utils.env_checker import check_env

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.objects import object_numbers
from thresher.envs.grasping.planner import best_grasp
from thresher.envs.grasping.safety import require_action
from thresher.envs.grasping.scene import Scene
from thresher.envs.grasping.world import BinGrasping
from thresher.envs.registry import make_policy
from thresher.envs.rollout import rollout
from thresher.episodes.contract import violations
from thresher.episodes.errors import UserError


def test_training_and_evaluation_share_no_object():
    training, evaluation = set(object_numbers("train")), set(object_numbers("eval"))
    assert not training & evaluation
    assert all(number % 10 == 0 for number in evaluation)
    assert all(number % 10 for number in training)
    assert 168 not in training
    with pytest.raises(UserError, match="did you mean 'eval'"):
        object_numbers("evil")


def test_gymnasium_finds_nothing_wrong(world):
    check_env(world, skip_render_check=True)


def test_the_same_seed_gives_the_same_bytes_whatever_ran_before(world):
    policy = make_policy("scripted", world)
    first = rollout(world, policy, 3, 5)
    for number in range(3):
        rollout(world, policy, 9, number)
    again = rollout(world, policy, 3, 5)
    assert again.episode_id == first.episode_id
    assert again.metadata == first.metadata


def test_rollouts_keep_the_contract(world):
    for name in ("random", "scripted"):
        policy = make_policy(name, world)
        for number in range(5):
            episode = rollout(world, policy, 1, number)
            assert violations(episode, world.episode_spec) == []


def test_the_oracle_mostly_succeeds_and_random_mostly_fails(world):
    def successes(name, trials=12):
        policy = make_policy(name, world)
        runs = [rollout(world, policy, 4, n) for n in range(trials)]
        return sum(run.metadata.outcome.episode_return for run in runs)

    assert successes("oracle") >= 10
    assert successes("random") <= 3


def test_an_episode_without_closing_is_truncated(world):
    world.reset(seed=0)
    for step in range(1, c.MAX_STEPS + 1):
        _, reward, terminated, truncated, _ = world.step(np.array([0, 0, 0, 0, -1.0]))
        assert (reward, terminated) == (0.0, False)
        assert truncated == (step == c.MAX_STEPS)


def test_closing_in_the_air_ends_the_episode_without_reward(world):
    world.reset(seed=0)
    _, reward, terminated, truncated, info = world.step(np.array([0, 0, 0, 0, 1.0]))
    assert (reward, terminated, truncated, info["success"]) == (0.0, True, False, False)


def test_the_projection_finds_a_place_in_the_picture(world):
    world.reset(seed=1)
    before = world.render().astype(int)
    pose = world._simulation.gripper_pose
    target = np.array([0.03, -0.04, 0.08, pose[3]])
    world._simulation.place(target)
    changed = np.abs(world.render().astype(int) - before).sum(axis=-1) > 30
    rows, columns = np.nonzero(changed)
    corners = target[:3] + np.array(
        [[x, y, z] for x in (-0.06, 0.06) for y in (-0.06, 0.06) for z in (0, 0.08)]
    )
    seen = world.camera.project(corners) * 64
    inside = (
        (columns + 0.5 > seen[:, 0].min())
        & (columns + 0.5 < seen[:, 0].max())
        & (rows + 0.5 > seen[:, 1].min())
        & (rows + 0.5 < seen[:, 1].max())
    )
    assert inside.sum() > 20


def test_acting_before_reset_is_refused(world):
    with pytest.raises(gymnasium.error.ResetNeeded):
        world.step(np.zeros(5))


@pytest.mark.parametrize(
    "action", [np.full(5, np.nan), np.full(5, np.inf), np.zeros(4)]
)
def test_what_is_no_action_is_refused_with_its_value(action):
    with pytest.raises(ValueError, match="an action"):
        require_action(action)


def test_four_quarter_turns_are_none():
    rng = np.random.default_rng(0)
    turns = rng.normal(size=(3, 4))
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    scene = Scene("s", np.arange(3), rng.normal(size=(3, 3)), turns)
    once = scene.turned(1)
    np.testing.assert_allclose(
        once.positions[0, :2], [-scene.positions[0, 1], scene.positions[0, 0]]
    )
    back = once.turned(3)
    np.testing.assert_allclose(back.positions, scene.positions, atol=1e-12)
    # q and -q are the same turn.
    same = np.abs((back.orientations * scene.orientations).sum(axis=1))
    np.testing.assert_allclose(same, 1.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_size": 65}, "choose one of"),
        ({"num_objects": 1}, "choose 3 to 8"),
        ({"bank_size": -1}, "choose 1 or more"),
        ({"object_set": "evil"}, "did you mean 'eval'"),
    ],
)
def test_options_that_are_not_offered_are_refused(options, words):
    from thresher.envs.registry import make_world

    with pytest.raises(UserError, match=words):
        make_world("bin_grasping", **options)


def test_fresh_scenes_never_repeat_and_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path))
    world = BinGrasping(fresh_scenes=True)
    names = {world.reset(seed=seed)[1]["scene_id"] for seed in range(6)}
    assert len(names) == 6
    assert not (tmp_path / "scenes").exists()
    again = world.reset(seed=0)[0]["image"]
    world.reset(seed=1)
    np.testing.assert_array_equal(world.reset(seed=0)[0]["image"], again)
    world.close()


def test_few_episodes_settle_no_whole_bank(tmp_path, monkeypatch):
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path))
    world = BinGrasping(bank_size=300)
    world.prepare(100)
    assert not (tmp_path / "scenes").exists()
    world.close()


def test_a_grasp_that_is_rehearsed_changes_nothing(world):
    world.reset(seed=3)
    before = world.render()
    state = world.privileged_state()
    best = best_grasp(state.points).pose
    assert state.rehearse(best)
    assert not state.rehearse(np.array([0.1, 0.1, 0.19, 0]))
    np.testing.assert_array_equal(world.render(), before)
    after = world.privileged_state()
    for one, other in zip(state.points, after.points):
        np.testing.assert_array_equal(one, other)


def test_episodes_leave_no_memory_behind(world):
    """Bullet keeps meshes that are handed over as numbers: 80 kB an episode."""
    for _ in range(20):
        world.reset(seed=0)
    before = psutil.Process().memory_info().rss
    for _ in range(300):
        world.reset(seed=0)
    assert psutil.Process().memory_info().rss - before < 300 * 10_000
