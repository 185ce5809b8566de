"""A version's number must say how much changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.raw_log import RawLogWriter
from thresher.episodes.spec import FeatureSpec
from thresher.pipelines.build import build_version
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode
from thresher.tests.pipelines.test_build import _build

FORCE = FeatureSpec("observation/force", (), "float32", "Force.", unit="N")


def _logs(folder, count=12, spec=TINY_SPEC):
    folder.mkdir()
    with RawLogWriter(folder / "log.mcap", spec) as log:
        for number in range(count):
            episode = tiny_episode(number, scene=f"scene {number}")
            if spec is not TINY_SPEC:
                steps = {**episode.steps, FORCE.name: np.zeros(4, np.float32)}
                episode = dataclasses.replace(episode, steps=steps)
            log.write(episode)
    return folder


def _build_as(root, logs, version, **recipe):
    build = _build(root, logs, version=version, rebalance=None, **recipe)
    return build_version(dataclasses.replace(build, target=root / "tiny" / version))


@pytest.fixture
def root(tmp_path):
    _build_as(tmp_path, _logs(tmp_path / "first"), "1.2.3")
    return tmp_path


def test_the_same_records_with_another_description_are_a_patch(root):
    found = _build_as(root, root / "first", "1.2.4", description="Better told.")
    assert found.version == "1.2.4"


def test_further_episodes_are_a_major_change(root):
    more = _logs(root / "more", count=15)
    with pytest.raises(UserError, match=r"major change \(15 episodes where .* 2.0.0"):
        _build_as(root, more, "1.3.0")
    assert _build_as(root, more, "2.0.0").index.num_rows == 15


def test_a_new_feature_of_the_same_episodes_is_a_minor_change(root):
    spec = dataclasses.replace(TINY_SPEC, features=(*TINY_SPEC.features, FORCE))
    richer = _logs(root / "richer", spec=spec)
    with pytest.raises(UserError, match=r"minor change .*force.* is new.* 1.3.0"):
        _build_as(root, richer, "1.2.4")


def test_a_refused_number_costs_nothing_that_was_done(root):
    more = _logs(root / "more", count=15)
    for _ in range(2):
        with pytest.raises(UserError, match=r"call it 2\.0\.0"):
            _build_as(root, more, "1.2.5")
    assert not (root / "tiny" / "1.2.5").exists()
    assert (root / "tiny" / "1.2.3").exists()


def test_an_earlier_number_is_compared_with_what_came_before_it(root):
    more = _logs(root / "more", count=15)
    _build_as(root, more, "2.0.0")
    fewer = _logs(root / "fewer", count=9)
    with pytest.raises(UserError, match=r"after 1\.2\.3"):
        _build_as(root, fewer, "1.9.0")
