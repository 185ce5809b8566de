"""Which values of a field end an episode for good, and which only end it."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from thresher.benchmarks.sound_tables import write_envlogger, write_tf_agents_rows
from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.pipelines.ingest.suggest import suggest
from thresher.tests.pipelines.ingest.tiny_logs import (
    episodes_of,
    ingest_here,
    write_mapping,
)

STEPS = 3
MAPPING = """
name: ends
step_seconds: 0.1
alignment: {alignment}
features: {{observation/x: {{from: x}}}}
action: {{from: a}}
source: {{options: {{episode: ep}}}}
ending: {ending}
"""


def _rows(*columns):
    """Returns a row a value, an episode for each column."""
    return [
        {"ep": number, "x": step, "a": step, "end": value}
        for number, column in enumerate(columns)
        for step, value in enumerate(column)
    ]


def _ingested(tmp_path, ending, *columns, alignment="sar"):
    path = tmp_path / "rows.jsonl"
    rows = _rows(*columns)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = MAPPING.format(alignment=alignment, ending=ending)
    ingest_here(path, write_mapping(tmp_path, text), tmp_path / "out")
    return episodes_of(tmp_path / "out")


def _assert_terminal(episode, terminal):
    count = episode.num_steps
    assert episode.array("is_last").tolist() == [False] * (count - 1) + [True]
    assert episode.array("is_terminal").tolist() == [False] * (count - 1) + [terminal]
    assert episode.array("discount").tolist() == [
        *[1.0] * (count - 2),
        0.0 if terminal else 1.0,
        0.0,
    ]


@pytest.mark.parametrize("alignment", ["sar", "rlds"])
def test_a_discount_of_zero_ends_for_good_and_one_does_not(tmp_path, alignment):
    ended, cut = _ingested(
        tmp_path,
        "{field: end, terminal_values: [0]}",
        [1.0, 1.0, 0.0],
        [0.99, 1.0, 1.0],
        alignment=alignment,
    )
    _assert_terminal(ended, terminal=True)
    _assert_terminal(cut, terminal=False)


def test_words_may_say_how_it_ended(tmp_path):
    ended, cut = _ingested(
        tmp_path,
        "{field: end, terminal_values: [crashed, arrived]}",
        ["running", "running", "crashed"],
        ["running", "running", "time"],
    )
    _assert_terminal(ended, terminal=True)
    _assert_terminal(cut, terminal=False)


@pytest.mark.parametrize("column", [[0, 1, 0], [0.0, 0.0, 1.0], [False, True, False]])
def test_truths_need_no_values(tmp_path, column):
    (episode,) = _ingested(tmp_path, "{field: end}", column)
    _assert_terminal(episode, terminal=True)


@pytest.mark.parametrize(("column", "value"), [([1, 2, 0], 2), ([0.99, 1, 0], 0.99)])
def test_numbers_that_are_no_truths_are_refused_with_what_to_write(
    tmp_path, column, value
):
    with pytest.raises(UserError, match=rf"{value} of end is neither .*terminal_val"):
        _ingested(tmp_path, "{field: end}", column)


def test_words_without_values_are_refused_with_what_to_write(tmp_path):
    with pytest.raises(UserError, match=r"end does not hold numbers.*terminal_values"):
        _ingested(tmp_path, "{field: end}", ["a", "b", "c"])


@pytest.mark.parametrize(
    ("values", "column"), [("[zero]", [1, 1, 0]), ("[0]", ["1", "1", "zero"])]
)
def test_values_that_a_field_cannot_hold_are_refused(tmp_path, values, column):
    with pytest.raises(UserError, match="none is among terminal_values"):
        _ingested(tmp_path, f"{{field: end, terminal_values: {values}}}", column)


def test_a_value_is_compared_in_the_type_of_its_field(tmp_path):
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        file["x"] = file["a"] = np.arange(3.0)
        file["end"] = np.array([1, 1, 0.1], np.float32)
    text = MAPPING.format(
        alignment="sar", ending="{field: end, terminal_values: [0.1]}"
    )
    text = text.replace("source: {options: {episode: ep}}\n", "")
    ingest_here(path, write_mapping(tmp_path, text), tmp_path / "out")
    (episode,) = episodes_of(tmp_path / "out")
    _assert_terminal(episode, terminal=True)


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("{field: discount}", r"ending.field .*zero .*terminal_values: \[0\]"),
        ("{field: next/discounts}", r"terminal_values: \[0\]"),
        ("{field: d, terminal_values: 0}", "ending.terminal_values .*must be a list"),
        ("{field: d, terminal_values: []}", "name at least one"),
        ("{field: d, terminal_values: [[0]]}", "must be numbers, texts, or true"),
        ("{terminal_values: [0]}", "ending.field: is missing"),
    ],
)
def test_a_mistake_in_an_ending_is_named(tmp_path, ending, message):
    text = MAPPING.format(alignment="sar", ending=ending)
    with pytest.raises(UserError, match=message):
        load_mapping(write_mapping(tmp_path, text))


def test_which_values_end_an_episode_is_part_of_the_digest(tmp_path):
    digests = {
        load_mapping(
            write_mapping(tmp_path, MAPPING.format(alignment="sar", ending=ending))
        ).digest()
        for ending in ("{field: d}", "{field: d, terminal_values: [0]}")
    }
    assert len(digests) == 2


def _trajectories(path):
    """Writes one episode that ended and one whose time ran out, as a driver does."""
    import tensorflow as tf
    from tf_agents.trajectories import trajectory

    scalar, kind = tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int32)
    vector = tf.TensorSpec((2,), tf.float32)
    spec = trajectory.Trajectory(kind, vector, vector, (), kind, scalar, scalar)
    types = [0] + [1] * (STEPS - 1) + [2, 0]
    rows = []
    for terminal in (True, False):
        for step in range(STEPS + 1):
            ends = terminal and types[step + 1] == 2
            pair = np.full(2, step, np.float32)
            now, after = np.int32(types[step]), np.int32(types[step + 1])
            reward, discount = np.float32(step), np.float32(not ends)
            rows.append(
                trajectory.Trajectory(now, pair, pair, (), after, reward, discount)
            )
    return write_tf_agents_rows(path, spec, rows)


def test_the_discount_of_trajectories_is_suggested(tmp_path):
    path = _trajectories(tmp_path / "t.tfrecord")
    text = suggest(path)
    assert "ending: {field: discount, terminal_values: [0]}" in text
    ingest_here(path, write_mapping(tmp_path, text), tmp_path / "out")
    ended, cut = episodes_of(tmp_path / "out")
    _assert_terminal(ended, terminal=True)
    _assert_terminal(cut, terminal=False)


def test_the_discount_of_envlogger_is_suggested(tmp_path):
    pytest.importorskip("envlogger")
    (tmp_path / "log").mkdir()
    path = write_envlogger(tmp_path / "log")
    text = suggest(path)
    assert "ending: {field: discount, terminal_values: [0]}" in text
    ingest_here(path, write_mapping(tmp_path, text), tmp_path / "out")
    for episode in episodes_of(tmp_path / "out"):
        _assert_terminal(episode, terminal=True)
