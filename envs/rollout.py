"""One policy, one world, one episode: a function of seed and number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thresher.envs.policy import Policy
from thresher.envs.world import World, WorldFault
from thresher.episodes.episode import Episode
from thresher.episodes.metadata import Behaviour, EpisodeMetadata, Outcome, Success
from thresher.episodes.recorder import StepRecorder

# Simulated episodes have no date. Their clock begins at zero and leaves a minute to
# each, so that the episodes of a log follow each other in a viewer.
_EPISODE_NS = 60 * 10**9


def rollout(
    world: World, policy: Policy, seed: int, number: int, attempt: int = 0
) -> Episode:
    """Runs one episode.

    World and policy draw from separate streams derived from the seed and the number:
    two policies with the same seed meet the same scenes, and the number of workers or
    the order of episodes changes nothing.

    Args:
      world: Where to act.
      policy: Who acts.
      seed: Of a whole collection or evaluation.
      number: Of the episode in it.
      attempt: Which drawing of that episode: above 0 where the world failed with the
        earlier ones, and then noted in the episode's environment.

    Raises:
      WorldFault: An observation or a reward is not finite.
    """
    entropy = [seed, number, attempt] if attempt else [seed, number]
    world_seed, policy_seed = np.random.SeedSequence(entropy).spawn(2)
    observation, info = world.reset(seed=int(world_seed.generate_state(1)[0]))
    _require_finite(observation, 0)
    policy.reset(world, np.random.default_rng(policy_seed))
    recorder = StepRecorder(world.episode_spec)
    recorder.first(observation)
    total, steps, ended = 0.0, 0, False
    outcome: dict[str, Any] = {}
    while not ended:
        commanded = policy.act(observation)
        observation, reward, terminated, truncated, outcome = world.step(commanded)
        steps += 1
        _require_finite({**observation, "reward": np.float64(reward)}, steps)
        recorder.step(
            outcome["executed_action"],
            float(reward),
            observation,
            terminated=terminated,
            truncated=truncated,
            commanded_action=commanded,
        )
        total += float(reward)
        ended = terminated or truncated
    return recorder.finish(
        EpisodeMetadata(
            source_id=f"seed{seed}/{number:08d}",
            task=world.task,
            robot=world.robot,
            scene_id=info["scene_id"],
            object_ids=tuple(info["object_ids"]),
            language="",
            start_time_ns=number * _EPISODE_NS,
            environment={
                **info["environment"],
                **({"attempt": float(attempt)} if attempt else {}),
            },
            outcome=Outcome(
                Success.YES if outcome["success"] else Success.NO, total, "simulator"
            ),
            behaviour=Behaviour(
                policy.kind, policy.policy_id, policy.policy_version, policy.noise
            ),
            other_labels={
                source: Success.YES if held else Success.NO
                for source, held in outcome.get("other_labels", {}).items()
            },
        )
    )


def _require_finite(values: Mapping[str, Any], step: int) -> None:
    for name, value in values.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise WorldFault(f"{name} is not finite at step {step}: {value}")
