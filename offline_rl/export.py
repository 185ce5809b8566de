"""Policies as folders that need none of our code to run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tf_agents.policies import policy_saver

from thresher.episodes.files import atomic_write


def export_policy(policy: Any, folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes a policy; the folder appears whole or not at all.

    - `saved_model/`: `act(observation, seed)`: a dict of batched tensors as the world
      gives them and int32 [2] -> float32 [B, A]. Loaded with `tf.saved_model.load`.
    - `tf_agents/`: the same for `tf_agents.policies.SavedModelPyTFEagerPolicy`.
    - `policy.json`: `facts` and `policy_version`, a digest of the weights.

    Args:
      policy: A TFPolicy with `best_action(observation, seed)`.
      folder: Replaced if it exists.
      facts: Plain JSON values.
    """
    scratch = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    _save_act(policy, scratch / "saved_model")
    with _without_warnings():
        saver = policy_saver.PolicySaver(policy, batch_size=None)
        saver.save(str(scratch / "tf_agents"))
    description = {**facts, "policy_version": weights_digest(policy.variables())}
    text = json.dumps(description, indent=1, sort_keys=True)
    atomic_write(scratch / "policy.json", text + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(scratch, folder)


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Silences what is said of names and of the distribution that CEM has none of."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def weights_digest(variables: Any) -> str:
    """Returns 16 hexadecimal digits that change whenever a weight does."""
    digest = hashlib.sha256()
    for variable in variables:
        digest.update(str(tuple(variable.shape)).encode())
        digest.update(variable.numpy().tobytes())
    return digest.hexdigest()[:16]


def _save_act(policy: Any, path: Path) -> None:
    module = tf.Module()
    module.policy_variables = list(policy.variables())
    signature = {
        name: tf.TensorSpec([None, *spec.shape], spec.dtype, name)
        for name, spec in policy.time_step_spec.observation.items()
    }
    module.act = tf.function(
        policy.best_action,
        autograph=False,
        input_signature=[signature, tf.TensorSpec([2], tf.int32)],
    )
    tf.saved_model.save(module, str(path))
