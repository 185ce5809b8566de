"""A Gymnasium environment as TF-Agents' drivers and metrics want it."""

from __future__ import annotations

from typing import Any, Optional

import gymnasium
import numpy as np
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts


class TFAgentsEnvironment(py_environment.PyEnvironment):
    """Wraps an environment of Box actions and Box or Dict-of-Box observations.

    An episode that terminated ends with discount 0, one that ran out of time with
    the full discount: a time-out that bootstraps not, or an ending that does, is this
    field's commonest silent bug. The step after an ending resets.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, np.ndarray],
        discount: float = 1.0,
        seed: Optional[int] = None,
    ) -> None:
        """Wraps an environment.

        Args:
          env: What to wrap; closed with this.
          discount: Of every step but a terminal one, in [0, 1].
          seed: Of the first reset; later ones go on with its random numbers.
        """
        super().__init__(handle_auto_reset=True)
        self._env = env
        self._discount = np.float32(discount)
        self._next_seed = seed
        self._info: dict[str, Any] = {}
        self._observation_spec = _spec(env.observation_space, "observation")
        self._action_spec = _spec(env.action_space, "action")

    def observation_spec(self) -> Any:
        """Returns the spec of observations, nested as they are."""
        return self._observation_spec

    def action_spec(self) -> Any:
        """Returns the spec of actions."""
        return self._action_spec

    def get_info(self) -> dict[str, Any]:
        """Returns Gymnasium's info of the last step."""
        return self._info

    def render(self, mode: str = "rgb_array") -> Any:
        """Returns the environment's picture."""
        if mode != "rgb_array":
            raise NotImplementedError(f"mode {mode!r}: only 'rgb_array' is offered")
        return self._env.render()

    def seed(self, seed: int) -> None:
        """Seeds the next reset."""
        self._next_seed = seed

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()

    def _reset(self) -> ts.TimeStep:
        seed, self._next_seed = self._next_seed, None
        observation, self._info = self._env.reset(seed=seed)
        return ts.restart(observation)

    def _step(self, action: np.ndarray) -> ts.TimeStep:
        observation, reward, terminated, truncated, self._info = self._env.step(action)
        reward = np.float32(reward)
        if terminated:
            return ts.termination(observation, reward)
        if truncated:
            return ts.truncation(observation, reward, self._discount)
        return ts.transition(observation, reward, self._discount)


def _spec(space: gymnasium.Space[Any], name: str) -> Any:
    if isinstance(space, gymnasium.spaces.Dict):
        return {key: _spec(inner, key) for key, inner in space.spaces.items()}
    if not isinstance(space, gymnasium.spaces.Box):
        raise TypeError(
            f"{name} is a {type(space).__name__}: only Box, and Dict of Box, are "
            "adapted"
        )
    return array_spec.BoundedArraySpec(
        space.shape, space.dtype, space.low, space.high, name
    )
