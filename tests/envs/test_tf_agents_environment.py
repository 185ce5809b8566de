"""TF-Agents drives our worlds; endings mean what they mean."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from tf_agents.environments import utils

from thresher.envs.tf_agents_environment import TFAgentsEnvironment


class Ending(gymnasium.Env):
    """Ends after two steps, one way or the other."""

    observation_space = gymnasium.spaces.Box(0, 9, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, terminal):
        self._terminal = terminal

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._observation(), {"seed": seed}

    def step(self, action):
        self._steps += 1
        last = self._steps == 2
        ends = (last and self._terminal, last and not self._terminal)
        return self._observation(), 1.0, *ends, {}

    def _observation(self):
        return np.array([self._steps], np.float32)


@pytest.mark.parametrize(("terminal", "discount"), [(True, 0.0), (False, 0.9)])
def test_only_a_terminal_ending_has_no_future(terminal, discount):
    env = TFAgentsEnvironment(Ending(terminal), discount=0.9, seed=5)
    first = env.reset()
    assert first.is_first() and env.get_info() == {"seed": 5}
    middle = env.step(np.zeros(2, np.float32))
    assert middle.is_mid() and middle.discount == pytest.approx(0.9)
    last = env.step(np.zeros(2, np.float32))
    assert last.is_last() and last.reward == 1
    assert last.discount == pytest.approx(discount)
    again = env.step(np.zeros(2, np.float32))
    assert again.is_first() and again.observation.tolist() == [0]


def test_tf_agents_finds_nothing_wrong_with_the_grasping_world(world):
    env = TFAgentsEnvironment(world, seed=1)
    utils.validate_py_environment(env, episodes=2)
    assert env.observation_spec()["image"].shape == (64, 64, 3)
    assert env.render().shape == (64, 64, 3)


def test_a_space_that_cannot_be_adapted_is_named():
    env = Ending(True)
    env.action_space = gymnasium.spaces.Discrete(3)
    with pytest.raises(TypeError, match="action is a Discrete"):
        TFAgentsEnvironment(env)
