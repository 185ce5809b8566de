"""The record in which a driver began anew is no step of an episode."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from thresher.benchmarks.sound_tables import (
    TF_AGENTS_STEPS,
    tf_agents_trajectories,
    write_tf_agents_rows,
)
from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.suggest import suggest
from thresher.pipelines.ingest.tf_agents_records import TfAgentsTable
from thresher.tests.pipelines.ingest.tiny_logs import (
    episodes_of,
    ingest_here,
    write_mapping,
)

LAST = 2
MAPPING = """
name: t
step_seconds: 0.1
alignment: {alignment}
features: {{observation/state: {{from: observation/state, shape: [2]}}}}
action: {{from: action, dtype: float64, shape: [2]}}
reward: {{field: reward}}
"""


def _written(path, keeps_boundaries):
    spec, rows = tf_agents_trajectories()
    kept = [r for r in rows if keeps_boundaries or r.step_type != LAST]
    return write_tf_agents_rows(path, spec, kept), kept


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """Trajectories as a driver of TF-Agents writes them, and their rows."""
    return _written(tmp_path_factory.mktemp("tfa") / "t.tfrecord", True)


@pytest.fixture(scope="module")
def stripped(tmp_path_factory):
    """The same without their boundaries."""
    return _written(tmp_path_factory.mktemp("tfa") / "t.tfrecord", False)


def _episodes(path, mapping, tmp_path):
    ingest_here(path, write_mapping(tmp_path, mapping), tmp_path / "out")
    return episodes_of(tmp_path / "out")


def test_a_boundary_makes_the_suggestion_rlds_and_is_noted(driven):
    text = suggest(driven[0])
    assert yaml.safe_load(text)["alignment"] == "rlds"
    assert "# Note: an episode's last record is a boundary" in text


def test_without_boundaries_every_action_is_one_that_was_taken(stripped):
    text = suggest(stripped[0])
    assert yaml.safe_load(text)["alignment"] == "sar"
    assert "boundary" not in text


def test_what_is_suggested_has_neither_the_boundary_nor_an_observation_twice(
    driven, tmp_path
):
    path, rows = driven
    episodes = _episodes(path, suggest(path), tmp_path)
    assert [e.num_steps for e in episodes] == [n + 1 for n in TF_AGENTS_STEPS]
    first = rows[: TF_AGENTS_STEPS[0] + 1]
    np.testing.assert_array_equal(
        episodes[0].observation("state"), [r.observation["state"] for r in first]
    )
    actions = episodes[0].array("action")
    np.testing.assert_array_equal(actions[:-1], [row.action for row in first[:-1]])
    assert not actions[-1].any()
    assert "final_observation" not in episodes[0].metadata.environment


def test_step_types_are_no_observations(driven):
    features = yaml.safe_load(suggest(driven[0]))["features"]
    assert not [f for f in features.values() if "step_type" in f["from"]]


@pytest.mark.parametrize("alignment", ["sar", "oxe"])
def test_an_alignment_that_takes_the_boundary_for_a_step_is_refused(
    driven, tmp_path, alignment
):
    with pytest.raises(UserError, match="alignment: .*boundary.*alignment: rlds"):
        _episodes(driven[0], MAPPING.format(alignment=alignment), tmp_path)


def test_that_holds_for_rows_that_are_cut_otherwise_too(driven, tmp_path):
    text = MAPPING.format(alignment="sar") + "episodes: {by: gap, seconds: 99}\n"
    with pytest.raises(UserError, match="alignment: .*boundary.*alignment: rlds"):
        _episodes(driven[0], text, tmp_path)


@pytest.mark.parametrize(("alignment", "more"), [("rlds", 0), ("sar", 1)])
def test_without_boundaries_either_alignment_may_be_meant(
    stripped, tmp_path, alignment, more
):
    episodes = _episodes(stripped[0], MAPPING.format(alignment=alignment), tmp_path)
    assert [e.num_steps for e in episodes] == [n + more for n in TF_AGENTS_STEPS]


def test_a_whole_file_that_is_not_cut_has_no_boundary_at_its_end(driven):
    assert TfAgentsTable(driven[0], {"cut": "none"}).contents().alignment == ""
    assert TfAgentsTable(driven[0], {}).contents().alignment == "rlds"
