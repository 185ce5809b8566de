"""A suggested mapping ingests as it is, and holds the values that were seen."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import yaml

from thresher.benchmarks.sound_logs import write_json_mcap
from thresher.episodes.metadata import Success
from thresher.pipelines.ingest.inspect import inspect
from thresher.pipelines.ingest.suggest import suggest
from thresher.tests.pipelines.ingest.tiny_logs import (
    episodes_of,
    ingest_here,
    write_mapping,
)

LARGE = 2**40


def _ingested(tmp_path, path):
    """Returns what was suggested, and the one episode that came of it."""
    text = suggest(path)
    out = tmp_path / "out"
    ingest_here(path, write_mapping(tmp_path, text), out)
    (episode,) = episodes_of(out)
    return text, episode


def test_whole_numbers_keep_their_declared_type(tmp_path):
    path = tmp_path / "x.hdf5"
    columns = {
        "n": np.arange(LARGE, LARGE + 6),
        "i": np.arange(6, dtype=np.int16),
        "u": np.arange(LARGE, LARGE + 6).astype(np.uint64),
        "huge": np.full(6, 2**63, np.uint64),
        "q": np.ones((6, 2), np.float32),
    }
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file[f"observations/{name}"] = column
    _, episode = _ingested(tmp_path, path)
    assert {name: str(episode.observation(name).dtype) for name in columns} == {
        "n": "int64",
        "i": "int32",
        "u": "int64",
        "huge": "float64",
        "q": "float32",
    }
    assert episode.observation("n")[:6].tolist() == columns["n"].tolist()


@pytest.mark.parametrize(
    ("numbers", "dtype"),
    [([LARGE, LARGE + 1, LARGE + 2], "float64"), ([2**53 + 1, 2, 3], "int64")],
)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_whole_numbers_that_nobody_declared_leave_room_for_decimals(
    tmp_path, numbers, dtype, suffix
):
    path = tmp_path / f"x.{suffix}"
    if suffix == "csv":
        path.write_text("n\n" + "".join(f"{n}\n" for n in numbers))
    else:
        path.write_text("".join(f'{{"n": {n}}}\n' for n in numbers))
    _, episode = _ingested(tmp_path, path)
    assert str(episode.observation("n").dtype) == dtype
    assert episode.observation("n")[:3].tolist() == numbers


def test_whole_numbers_of_a_log_keep_their_values(tmp_path):
    rows = [
        (topic, k / 10, {"n": number + k, "word": "a"})
        for k in range(5)
        for topic, number in (("/x", LARGE), ("/y", 2**53 + 1))
    ]
    write_json_mcap(tmp_path / "x.mcap", rows)
    _, episode = _ingested(tmp_path, tmp_path / "x.mcap")
    assert episode.observation("x_n").tolist() == [LARGE + k for k in range(5)]
    assert episode.observation("y_n").dtype == np.int64
    assert episode.observation("y_n")[1] == 2**53 + 2


def test_a_field_without_rows_is_left_out_with_a_comment(tmp_path):
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        for demo in ("data/demo_0", "data/demo_1"):
            file[f"{demo}/obs/q"] = np.ones((6, 2))
            file[f"{demo}/obs/zero"] = np.zeros((0, 3))
            file[f"{demo}/actions"] = np.ones((6, 2))
    text = suggest(path)
    assert "# Left out: 'obs/zero', for it has 0 rows" in text
    assert [f["from"] for f in yaml.safe_load(text)["features"].values()] == ["obs/q"]
    report = ingest_here(path, write_mapping(tmp_path, text), tmp_path / "out")
    assert report.episodes == 2


def test_names_that_yaml_takes_for_something_else_are_quoted(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"": 1.5, "12": 2.5, "yes": 3.5, "😀": 4.5}\n' * 3)
    _, episode = _ingested(tmp_path, path)
    first = [column[0] for name, column in episode.steps.items() if "obs" in name]
    assert first == [1.5, 2.5, 3.5, 4.5]


def test_what_says_how_it_went_becomes_labels_and_no_observation(tmp_path):
    rows = [
        {
            "x": k / 2,
            "action": k / 3,
            "next": {"success": k == 3},
            "terminated": k == 4,
            "task": "pick it up",
        }
        for k in range(5)
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, episode = _ingested(tmp_path, path)
    seen = [name for name in episode.steps if name.startswith("observation/")]
    assert seen == ["observation/x"]
    metadata = episode.metadata
    assert metadata.outcome.success is Success.YES
    assert metadata.language == "pick it up"
    assert episode.array("is_terminal").tolist() == [False] * 5 + [True]
    assert episode.array("reward").sum() == 1


def test_endings_that_are_one_shorter_belong_to_the_actions(tmp_path):
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        for demo in ("data/demo_0", "data/demo_1"):
            file[f"{demo}/obs/q"] = np.ones((6, 2))
            file[f"{demo}/actions"] = np.ones((5, 2))
            file[f"{demo}/terminations"] = np.arange(5) == 4
    text = suggest(path)
    assert "ending: {field: terminations}" in text and "Left out" not in text
    out = tmp_path / "out"
    ingest_here(path, write_mapping(tmp_path, text), out)
    assert [e.array("is_terminal")[-1] for e in episodes_of(out)] == [True, True]


def _write_verdict_bag(path):
    """Writes a state, and what std_msgs say of how it went."""
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)
    rows = [("/tilt", "Float64", step, step / 10) for step in range(6)]
    rows += [("/reward", "Float32", step, step / 10 + 0.01) for step in range(5)]
    rows += [("/terminated", "Bool", True, 0.51), ("/success", "Bool", True, 0.52)]
    with Writer(path) as writer:
        opened = {}
        for topic, kind, value, seconds in sorted(rows, key=lambda row: row[3]):
            name = f"std_msgs/msg/{kind}"
            if topic not in opened:
                opened[topic] = writer.add_connection(topic, name, typestore=store)
            content = store.serialize_ros1(store.types[name](value), name)
            now = 1_700_000_000 * 10**9 + round(seconds * 1e9)
            writer.write(opened[topic], now, content)
    return path


def test_verdicts_of_std_msgs_become_labels_as_inspect_guesses(tmp_path):
    path = _write_verdict_bag(tmp_path / "x.bag")
    guessed = [line for line in inspect(path) if line.startswith("guess: ")]
    assert "guess: rewards: /reward.data" in guessed
    assert "guess: success: /success.data" in guessed
    text, episode = _ingested(tmp_path, path)
    suggested = yaml.safe_load(text)
    assert suggested["success"] == {"field": "/success.data", "at": "any"}
    assert suggested["reward"] == {"field": "/reward.data"}
    assert suggested["ending"] == {"field": "/terminated.data"}
    assert list(suggested["features"]) == ["observation/tilt_data"]
    assert episode.metadata.outcome.success is Success.YES
    assert episode.array("reward").tolist() == [0, 1, 2, 3, 4, 0]
    assert episode.array("is_terminal").tolist() == [False] * 5 + [True]
