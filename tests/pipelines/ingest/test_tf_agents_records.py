"""TF-Agents' records are read as TF-Agents reads them, and cut into episodes."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from thresher.benchmarks.sound_tables import TF_AGENTS_STEPS as LENGTHS
from thresher.benchmarks.sound_tables import (
    tf_agents_observation,
    tf_agents_specs,
    tf_agents_trajectories,
    write_tf_agents_rows,
)
from thresher.episodes.errors import UserError
from thresher.episodes.tfrecord import records
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.tf_agents_records import TfAgentsTable
from thresher.tests.pipelines.ingest.tables import (
    assert_equal,
    read_all,
    sample,
    values,
)

REAL = (
    "tf_agents_antmaze/tf_agents/examples/cql_sac/kumar20/dataset/test_data/"
    "antmaze-medium-play-v0_0.tfrecord"
)


@pytest.fixture(scope="module")
def trajectories(tmp_path_factory):
    """Two whole episodes, the last row of each its boundary, and their rows."""
    spec, rows = tf_agents_trajectories()
    path = tmp_path_factory.mktemp("tfa") / "t.tfrecord"
    return write_tf_agents_rows(path, spec, rows), rows


@pytest.fixture(scope="module")
def transitions(tmp_path_factory):
    """Two episodes of transitions, the second not linked up inside."""
    import tensorflow as tf
    from tf_agents.trajectories import policy_step, time_step, trajectory

    rng = np.random.default_rng(1)
    observation, action = tf_agents_specs()
    scalar = tf.TensorSpec((), tf.float32)
    kind = tf.TensorSpec((), tf.int32)
    moment = time_step.TimeStep(kind, scalar, scalar, observation)
    spec = trajectory.Transition(moment, policy_step.PolicyStep(action, (), ()), moment)
    rows = []
    for episode, length in enumerate(LENGTHS):
        seen = [tf_agents_observation(rng, step) for step in range(length + 1)]
        types = [0] + [1] * (length - 1) + [2]
        for step in range(length):
            after = seen[step + 1] if episode == 0 else tf_agents_observation(rng, 99)
            one = np.float32(1)
            rows.append(
                trajectory.Transition(
                    time_step.TimeStep(np.int32(types[step]), one, one, seen[step]),
                    policy_step.PolicyStep(rng.normal(size=2), (), ()),
                    time_step.TimeStep(np.int32(types[step + 1]), one, one, after),
                )
            )
    path = tmp_path_factory.mktemp("tfa") / "r.tfrecord"
    return write_tf_agents_rows(path, spec, rows), rows


def test_trajectories_are_cut_at_their_boundaries(trajectories):
    path, rows = trajectories
    segments = read_all(TfAgentsTable(path, {}))
    assert [len(s.streams["reward"].values) for s in segments] == [4, 3]
    merged = {
        name: np.concatenate([values(segment, name) for segment in segments])
        for name in segments[0].streams
    }
    for name in ("image", "state", "tick"):
        wanted = [row.observation[name] for row in rows]
        np.testing.assert_array_equal(merged[f"observation/{name}"], wanted)
    np.testing.assert_array_equal(merged["action"], [row.action for row in rows])
    np.testing.assert_array_equal(merged["step_type"], [r.step_type for r in rows])
    assert merged["action"].dtype == np.float64
    assert merged["step_type"].dtype == np.int32


def test_pictures_kept_as_jpeg_stay_so(tmp_path, trajectories):
    import tensorflow as tf

    spec = {"image": tf.TensorSpec((8, 8, 3), tf.uint8)}
    image = np.zeros((8, 8, 3), np.uint8)
    path = write_tf_agents_rows(
        tmp_path / "j.tfrecord", spec, [{"image": image}], compress_image=True
    )
    (segment,) = read_all(TfAgentsTable(path, {"cut": "none"}))
    assert segment.streams["image"].values.encoding == "jpeg"


def test_transitions_end_where_the_next_step_is_the_last(transitions):
    path, rows = transitions
    table = TfAgentsTable(path, {})
    assert [pointer.rows for pointer in table.pointers()] == list(LENGTHS)
    segment = table.read(next(table.pointers()), ["action_step/action"])
    assert_equal(
        segment, "action_step/action", [r.action_step.action for r in rows[:3]]
    )


def test_observations_of_linked_transitions_are_joined(transitions):
    path, rows = transitions
    table = TfAgentsTable(path, {})
    first, second = table.pointers()
    segment = table.read(first, ["observation/state", "observation/image"])
    seen = [row.time_step.observation for row in rows[:3]]
    seen.append(rows[2].next_time_step.observation)
    for name in ("state", "image"):
        assert_equal(segment, f"observation/{name}", [o[name] for o in seen])
    assert len(segment.streams["observation/state"].times_ns) == 4
    with pytest.raises(
        DamagedRecordingError, match="transition 1 does not start where"
    ):
        table.read(second, ["observation/state"])
    assert len(table.read(second, ["time_step/observation/state"]).streams) == 1


def test_damage_is_told_by_the_run_it_is_in(transitions, tmp_path):
    path, _ = transitions
    copy = tmp_path / "r.tfrecord"
    shutil.copy(f"{path}.spec", f"{copy}.spec")
    offsets = [offset for offset, _ in records(path)]
    data = bytearray(path.read_bytes())
    data[offsets[1] + 40] ^= 4
    copy.write_bytes(data)
    table = TfAgentsTable(copy, {})
    first, second = table.pointers()
    with pytest.raises(
        DamagedRecordingError,
        match=f"records 0-3.*byte {offsets[1]} fails its checksum",
    ):
        table.read(first, ["action_step/action"])
    assert len(table.read(second, ["action_step/action"]).streams) == 1
    copy.write_bytes(data[:-5])
    with pytest.raises(DamagedRecordingError, match="ends inside a record"):
        table.read(list(TfAgentsTable(copy, {}).pointers())[-1], ["action_step/action"])


def test_records_that_are_not_what_the_spec_says_are_told(
    transitions, trajectories, tmp_path
):
    copy = tmp_path / "x.tfrecord"
    shutil.copy(trajectories[0], copy)
    shutil.copy(f"{transitions[0]}.spec", f"{copy}.spec")
    table = TfAgentsTable(copy, {})
    (pointer,) = table.pointers()
    with pytest.raises(DamagedRecordingError, match="has no action_step/action"):
        table.read(pointer, ["action_step/action"])


@pytest.mark.parametrize("content", [b"", b"\x00" * 40, b"spec"])
def test_a_broken_spec_is_told_with_its_path(tmp_path, content):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(b"")
    with pytest.raises(DamagedRecordingError, match=r"no x\.tfrecord\.spec beside"):
        TfAgentsTable(path, {})
    (tmp_path / "x.tfrecord.spec").write_bytes(content)
    with pytest.raises(DamagedRecordingError, match=r"x\.tfrecord\.spec"):
        TfAgentsTable(path, {}).contents()


def test_options_and_fields_that_are_not_there_are_told(transitions):
    path, _ = transitions
    with pytest.raises(UserError, match="option cut: 'both'"):
        TfAgentsTable(path, {"cut": "both"})
    table = TfAgentsTable(path, {})
    with pytest.raises(UserError, match="did you mean 'action_step/action'"):
        table.read(next(table.pointers()), ["action_step/actoin"])


def test_the_real_antmaze_file_is_read():
    path = sample(REAL)
    assert TfAgentsTable.recognises(path)
    cut = TfAgentsTable(path, {})
    pointers = list(cut.pointers())
    assert [p.rows for p in pointers] == [1] * 5 + [7] + [1] * 6
    episode = cut.read(pointers[5], ["observation", "next_time_step/reward"])
    assert values(episode, "observation").shape == (8, 29)
    for boundary in pointers[:5] + pointers[6:]:
        with pytest.raises(DamagedRecordingError, match="a boundary: .*nobody acted"):
            cut.read(boundary, ["observation"])
    table = TfAgentsTable(path, {"cut": "none"})
    (pointer,) = table.pointers()
    segment = table.read(pointer, ["time_step/observation", "time_step/step_type"])
    assert values(segment, "time_step/observation").shape == (18, 29)
    assert_equal(segment, "time_step/step_type", [2] * 5 + [0] + [1] * 6 + [2] * 6)
