"""An exported policy acts as the learner did."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.policies import SavedModelPyTFEagerPolicy
from tf_agents.trajectories import time_step

from thresher.offline_rl.export import weights_digest
from thresher.offline_rl.qt_opt.config import QtOptConfig
from thresher.offline_rl.qt_opt.learner import QtOptLearner
from thresher.tests.offline_rl.toy_reaching import SPEC, ToyGeometry, toy_cache

CONFIG = QtOptConfig(filters=8, hidden_units=16)
SEED = np.array([5, 6], np.int32)


def _learner(seed=0):
    return QtOptLearner(CONFIG, SPEC, ToyGeometry(), num_steps=10, seed=seed)


@pytest.fixture(scope="module")
def learner():
    return _learner()


@pytest.fixture(scope="module")
def observation(tmp_path_factory):
    cache = toy_cache(tmp_path_factory.mktemp("cache") / "toy", 4)
    return {name: array[:3] for name, array in cache.observation.items()}


@pytest.fixture(scope="module")
def folder(learner, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "policy"
    learner.export(folder, {"policy_id": "toy"})
    return folder


def test_the_saved_model_gives_the_same_actions(learner, observation, folder):
    model = tf.saved_model.load(str(folder / "saved_model"))
    tensors = {name: tf.constant(value) for name, value in observation.items()}
    action = model.act(tensors, tf.constant(SEED))
    assert action.dtype == tf.float32 and action.shape == (3, 5)
    np.testing.assert_array_equal(action, learner.act(observation, SEED))


def test_tf_agents_can_load_it(observation, folder):
    policy = SavedModelPyTFEagerPolicy(
        str(folder / "tf_agents"), load_specs_from_pbtxt=True
    )
    first = {name: value[0] for name, value in observation.items()}
    action = policy.action(time_step.restart(first)).action
    assert action.shape == (5,)
    assert np.all(np.abs(action) <= 1)


def test_policy_json_says_what_it_is(learner, folder):
    facts = json.loads((folder / "policy.json").read_text())
    assert facts["learner"] == "qt-opt" and facts["targets"] == "monte-carlo"
    assert facts["config"]["filters"] == 8
    variables = learner.agent.policy.variables()
    assert facts["policy_version"] == weights_digest(variables)


def test_other_weights_are_another_version(learner):
    other = _learner(seed=1)
    digests = {
        weights_digest(which.agent.policy.variables()) for which in (learner, other)
    }
    assert len(digests) == 2


def test_saving_and_restoring_keeps_everything(learner, observation, tmp_path):
    learner.save(tmp_path / "kept")
    other = _learner(seed=1)
    other.restore(tmp_path / "kept")
    np.testing.assert_array_equal(
        other.act(observation, SEED), learner.act(observation, SEED)
    )
