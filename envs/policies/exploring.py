"""Any policy with noise added to what it does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from thresher.envs.policies.coherent_noise import CoherentNoise
from thresher.envs.policy import Policy
from thresher.envs.world import World
from thresher.episodes.errors import UserError


class ExploringPolicy:
    """Adds Gaussian noise, white or coherent, to every entry of a policy's action.

    Raises:
      UserError: A negative deviation, or a correlation outside [0, 1).
    """

    def __init__(
        self, policy: Policy, world: World, deviation: float, correlation: float
    ) -> None:
        """Wraps a policy.

        Args:
          policy: Who acts.
          world: Where; its action bounds are kept.
          deviation: Standard deviation of the noise, in the action's own units.
          correlation: Of one step's noise with the next.
        """
        if not deviation >= 0:
            raise UserError(f"exploration noise {deviation} is not 0 or more")
        self.policy_id = policy.policy_id
        self.policy_version = policy.policy_version
        self.kind = policy.kind
        self.noise: Mapping[str, float] = {
            **policy.noise,
            "exploration": deviation,
            "exploration_correlation": correlation,
        }
        self._policy = policy
        self._deviation = deviation
        action = world.episode_spec.action
        self._low, self._high = action.minimum, action.maximum
        self._noise = CoherentNoise(action.shape, correlation)

    def reset(self, world: World, rng: np.random.Generator) -> None:
        """Begins an episode."""
        # A stream of its own: without noise the policy would act as it does alone.
        self._rng = np.random.default_rng(rng.integers(2**63))
        self._noise.reset()
        self._policy.reset(world, rng)

    def act(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the policy's action, with noise."""
        action = self._policy.act(observation)
        noisy = action + self._deviation * self._noise.draw(self._rng)
        if self._low is not None or self._high is not None:
            noisy = np.clip(noisy, self._low, self._high)
        return noisy.astype(action.dtype)
