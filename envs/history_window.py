"""Gives a policy a window of past observations and actions.

Latency hides the state: what an action did is seen only later. A window of what was
seen and done gives the Markov property back (the article's remedy, as good as a
recurrent network and simpler).
"""

from __future__ import annotations

import collections
from typing import Any

import gymnasium
import numpy as np

from thresher.envs.world import Observation
from thresher.episodes.errors import UserError

PREVIOUS_ACTIONS = "previous_actions"


class HistoryWindow(
    gymnasium.Wrapper[Observation, np.ndarray, Observation, np.ndarray]
):
    """Stacks the last H observations and the actions that led to them.

    Every entry of the observation becomes [H, …], oldest first, and
    'previous_actions' [H, A] holds the executed action before each of them. Before
    the episode's start there is its first observation and the action zero.

    Raises:
      UserError: A window shorter than 1.
    """

    def __init__(
        self, env: gymnasium.Env[Observation, np.ndarray], length: int
    ) -> None:
        if length < 1:
            raise UserError(f"a history window of {length} steps: choose 1 or more")
        super().__init__(env)
        assert isinstance(env.observation_space, gymnasium.spaces.Dict)
        assert isinstance(env.action_space, gymnasium.spaces.Box)
        self._seen: collections.deque[Observation] = collections.deque(maxlen=length)
        self._done: collections.deque[np.ndarray] = collections.deque(maxlen=length)
        spaces = dict(env.observation_space.spaces)
        spaces[PREVIOUS_ACTIONS] = env.action_space
        self.observation_space = gymnasium.spaces.Dict(
            {name: _repeated(space, length) for name, space in spaces.items()}
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begins an episode with a window full of its first observation."""
        observation, info = self.env.reset(seed=seed, options=options)
        assert self.action_space.shape is not None
        nothing = np.zeros(self.action_space.shape, self.action_space.dtype)
        assert self._seen.maxlen is not None
        self._seen.extend([observation] * self._seen.maxlen)
        self._done.extend([nothing] * self._seen.maxlen)
        return self._window(), info

    def step(
        self, action: np.ndarray
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Acts, and moves the window on by one."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._seen.append(observation)
        executed = info.get("executed_action", action)
        self._done.append(np.asarray(executed, self.action_space.dtype))
        return self._window(), float(reward), terminated, truncated, info

    def _window(self) -> Observation:
        stacked = {
            name: np.stack([seen[name] for seen in self._seen])
            for name in self._seen[-1]
        }
        return {**stacked, PREVIOUS_ACTIONS: np.stack(self._done)}


def _repeated(space: gymnasium.Space[Any], length: int) -> gymnasium.spaces.Box:
    assert isinstance(space, gymnasium.spaces.Box)
    # A Box's type is known; Space's is not always.
    kind: Any = space.dtype
    return gymnasium.spaces.Box(
        np.broadcast_to(space.low, (length, *space.shape)),
        np.broadcast_to(space.high, (length, *space.shape)),
        dtype=kind,
    )
