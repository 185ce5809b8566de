"""Evaluation on unseen objects: same scenes for all, every episode kept."""

from __future__ import annotations

import json

import pytest

from thresher.episodes.errors import UserError
from thresher.eval.evaluate import (
    EvaluationConfig,
    evaluate,
    proportion,
    read_episodes,
)

OPTIONS = {"bank_size": 100, "num_objects": 3, "image_size": 48}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluations")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THRESHER_CACHE", str(root / "cache"))
        for policy in ("scripted", "random"):
            evaluate(_config(policy), root / policy)
        yield root


def _config(policy="scripted", **changes):
    settings = {"world_options": OPTIONS, "episodes": 10, "seed": 5, **changes}
    return EvaluationConfig(policy, **settings)


def _results(folder):
    return json.loads((folder / "run.json").read_text())["results"]


def test_every_episode_is_kept_and_agrees_with_the_verdict(folder):
    results = _results(folder / "scripted")
    kept = list(read_episodes(folder / "scripted"))
    assert len(kept) == results["trials"] == len(results["episodes"]) == 10
    successes = [episode.metadata.outcome.success.value == "yes" for episode in kept]
    assert sum(successes) == results["successes"]
    low, high = results["interval"]
    assert low <= results["success_rate"] <= high


def test_all_objects_are_evaluation_objects(folder):
    for episode in _results(folder / "random")["episodes"]:
        assert all(int(name[-3:]) % 10 == 0 for name in episode["object_ids"])


def test_two_policies_meet_the_same_scenes(folder):
    scenes = [
        [episode["scene_id"] for episode in _results(folder / policy)["episodes"]]
        for policy in ("scripted", "random")
    ]
    assert scenes[0] == scenes[1]


def test_a_finished_evaluation_is_not_run_again(folder):
    before = (folder / "random" / "run.json").read_bytes()
    record = evaluate(_config("random"), folder / "random")
    assert proportion(record).trials == 10
    assert (folder / "random" / "run.json").read_bytes() == before


def test_another_evaluation_in_the_same_folder_is_refused(folder):
    with pytest.raises(UserError, match="seed is 5 there and 6 here"):
        evaluate(_config("random", seed=6), folder / "random")


def test_training_objects_are_refused_unless_asked_for(folder, tmp_path):
    config = _config(object_set="train", episodes=2)
    with pytest.raises(UserError, match="--allow-training-objects"):
        evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    record = evaluate(config, tmp_path / "run", allow_training_objects=True)
    assert record.results["trials"] == 2


def test_an_unknown_policy_is_refused_with_the_near_match(tmp_path):
    with pytest.raises(UserError, match="did you mean 'scripted'"):
        evaluate(_config("scriptd"), tmp_path / "run")
