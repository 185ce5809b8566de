"""A tiny world that goes wrong when it is told to."""

from __future__ import annotations

import os
import time
from pathlib import Path

import gymnasium
import numpy as np

from thresher.envs.world import World
from thresher.episodes.spec import EpisodeSpec, FeatureSpec

STEPS = 3


class UnrulyWorld(World):
    """Three steps; success is drawn. Misbehaves at one reset, or in certain scenes."""

    robot = "none"
    task = "count to three"
    episode_spec = EpisodeSpec(
        "unruly",
        (
            FeatureSpec("observation/state", (2,), "float32", "Random numbers."),
            FeatureSpec("action", (2,), "float32", "Unused.", minimum=-1, maximum=1),
        ),
        step_seconds=0.1,
    )

    def __init__(self, fault="none", marker="", times=1, bad_share=0.0, slow=0.0):
        """Makes the world.

        Args:
          fault: 'crash', 'hang', 'nan', 'bug' or 'none'.
          marker: File that counts the faults, by bytes; none beyond `times`.
          times: How many faults there are.
          bad_share: Of scenes whose every drawing has the fault.
          slow: Seconds a step takes.
        """
        self._fault, self._marker, self._times = fault, Path(marker), times
        self._bad_share, self._slow = bad_share, slow
        self._resets = 0
        self.action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        self._resets += 1
        self._bad = self.np_random.random() < self._bad_share or self._is_due()
        return self._observe(), {"scene_id": "s", "object_ids": [], "environment": {}}

    def step(self, action):
        self._steps += 1
        time.sleep(self._slow)
        if self._bad and self._steps == 2:
            self._misbehave()
        done = self._steps == STEPS
        success = done and bool(self.np_random.random() < 0.3)
        info = {"executed_action": action, "success": success}
        return self._observe(), float(success), done, False, info

    def privileged_state(self):
        return None

    def _is_due(self):
        if not self._marker.name or self._resets != 7:
            return False
        with open(self._marker, "ab", buffering=0) as file:
            file.write(b"x")
            # Behind this one's own byte, whatever another worker adds meanwhile.
            return file.tell() <= self._times

    def _misbehave(self):
        if self._fault == "crash":
            os.abort()
        if self._fault == "hang":
            time.sleep(3600)
        if self._fault == "bug":
            raise ZeroDivisionError("a bug in the world")

    def _observe(self):
        state = self.np_random.random(2).astype(np.float32)
        nan = self._fault == "nan" and self._steps >= 2 and self._bad
        return {"state": state * np.float32(np.nan if nan else 1)}
