"""Checkpoints of a training run: all that a killed one needs to go on."""

from __future__ import annotations

import json
import time
from pathlib import Path

import tensorflow as tf

from thresher.offline_rl.learner import Learner
from thresher.offline_rl.transitions.sampler import TransitionSampler

# The one before the last is kept in case the last was being written.
_KEPT = 2


class RunCheckpoints:
    """Saves and restores learner and sampler together."""

    def __init__(
        self, folder: Path, learner: Learner, sampler: TransitionSampler
    ) -> None:
        checkpoint = tf.train.Checkpoint(
            learner=learner.trackable(), sampler=_SamplerState(sampler)
        )
        self._manager = tf.train.CheckpointManager(
            checkpoint, str(folder), max_to_keep=_KEPT, checkpoint_name="step"
        )
        self._checkpoint = checkpoint
        self._saved_at = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last checkpoint, or since the start."""
        return time.monotonic() - self._saved_at

    def save(self, step: int) -> None:
        """Writes a checkpoint and drops the oldest."""
        self._manager.save(checkpoint_number=step)
        self._saved_at = time.monotonic()

    def restore_latest(self) -> None:
        """Goes back to the newest checkpoint, if there is one."""
        latest = self._manager.latest_checkpoint
        if latest:
            # The manager's own save counter is made by saving; all else must match.
            self._checkpoint.restore(latest).assert_existing_objects_matched()


class _SamplerState(tf.train.experimental.PythonState):
    """Keeps the sampler's state inside the checkpoint, so the two cannot part."""

    def __init__(self, sampler: TransitionSampler) -> None:
        super().__init__()
        self._sampler = sampler

    def serialize(self) -> str:
        return json.dumps(self._sampler.state())

    def deserialize(self, string_value: bytes) -> None:
        self._sampler.restore(json.loads(string_value))
