"""What was seen and done before, oldest first."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from thresher.envs.history_window import HistoryWindow
from thresher.episodes.errors import UserError
from thresher.tests.pipelines.unruly_world import UnrulyWorld


class Counting(UnrulyWorld):
    """Observes how many steps were taken; executes half of each action."""

    def step(self, action):
        observation, *rest, info = super().step(action)
        return observation, *rest, {**info, "executed_action": action / 2}

    def _observe(self):
        return {"state": np.full(2, self._steps, np.float32)}


def _windowed(length):
    world = Counting()
    import gymnasium

    box = gymnasium.spaces.Box(0, 9, (2,), np.float32)
    world.observation_space = gymnasium.spaces.Dict({"state": box})
    return HistoryWindow(world, length)


def test_the_window_moves_on_by_one():
    env = _windowed(3)
    first, _ = env.reset(seed=0)
    assert first["state"][:, 0].tolist() == [0, 0, 0]
    assert not first["previous_actions"].any()
    env.step(np.full(2, 0.2, np.float32))
    second, *_ = env.step(np.full(2, 0.4, np.float32))
    assert second["state"][:, 0].tolist() == [0, 1, 2]
    np.testing.assert_allclose(second["previous_actions"][:, 0], [0, 0.1, 0.2])
    again, _ = env.reset(seed=0)
    assert not again["state"].any() and not again["previous_actions"].any()


def test_gymnasium_finds_nothing_wrong():
    check_env(_windowed(2), skip_render_check=True)


def test_a_window_of_nothing_is_refused():
    with pytest.raises(UserError, match="choose 1 or more"):
        _windowed(0)


def test_the_grasping_world_can_be_windowed(world):
    env = HistoryWindow(world, 2)
    observation, _ = env.reset(seed=1)
    assert observation["image"].shape == (2, 64, 64, 3)
    assert env.observation_space.contains(observation)
