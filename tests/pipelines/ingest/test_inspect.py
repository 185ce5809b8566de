"""What is inside a recording, its pictures, and a first mapping that ingests."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from thresher.benchmarks.sound_logs import (
    arm_ros2_rows,
    arm_rows,
    picture,
    write_json_mcap,
    write_ros1_bag,
    write_ros2_bag,
    write_ros2_mcap,
)
from thresher.episodes.contract import violations
from thresher.episodes.errors import UserError
from thresher.episodes.metadata import Success
from thresher.episodes.raw_log import RawLogReader
from thresher.pipelines.ingest.formats import FORMATS, find_format, find_recordings
from thresher.pipelines.ingest.ingest import ingested_logs
from thresher.pipelines.ingest.inspect import inspect
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.pipelines.ingest.suggest import suggest
from thresher.pipelines.ingest.topic_contents import TopicSurvey
from thresher.tests.pipelines.ingest.tiny_logs import (
    episodes_of,
    ingest_here,
    write_mapping,
)


def test_inspect_tells_topics_types_rates_gaps_and_guesses(tmp_path):
    path = write_json_mcap(
        tmp_path / "a.mcap", arm_rows(11), metadata={"end": {"success": "yes"}}
    )
    lines = inspect(path)
    state = next(line for line in lines if line.startswith("/state.q"))
    assert "[2]" in state
    assert "11" in state
    assert "10.0" in state
    assert "0.100 s" in state
    assert "attributes: end.success" in lines
    assert "guess: actions: /command.dq" in lines
    assert "guess: clock: /state.q, 10.0 Hz" in lines


def test_inspect_tells_of_a_topic_with_messages_of_several_types():
    survey = TopicSurvey()
    for number, kind in enumerate(("x/A", "x/B", "x/A")):
        survey.add("/a", kind, number)
    survey.add("/b", "x/A", 0)
    assert survey.notes() == [
        "/a: its messages are of several types: x/A, x/B; the fields shown are of the "
        "first"
    ]


def test_inspect_tells_what_is_damaged(tmp_path):
    path = write_json_mcap(tmp_path / "a.mcap", arm_rows(40), finish=False)
    text = "\n".join(inspect(path))
    assert "note: the file ends, or is damaged" in text
    assert "/state.q" in text


def test_pictures_are_a_first_a_middle_and_a_last(tmp_path):
    path = write_ros2_mcap(tmp_path / "a.mcap", arm_ros2_rows(5))
    inspect(path, pictures=tmp_path / "p")
    files = sorted(file.name for file in (tmp_path / "p").iterdir())
    assert files == [f"{c}_{n}.png" for c in ("packed", "raw") for n in (1, 2, 3)]
    for number, shade in ((1, 0), (2, 2), (3, 4)):
        with Image.open(tmp_path / "p" / f"raw_{number}.png") as image:
            assert np.array_equal(np.asarray(image), picture(shade))


def test_a_recording_without_pictures_says_so(tmp_path):
    path = write_json_mcap(tmp_path / "a.mcap", arm_rows(3))
    with pytest.raises(UserError, match="holds no field that is a picture"):
        inspect(path, pictures=tmp_path / "p")


def _suggested(tmp_path, path):
    text = suggest(path)
    mapping = write_mapping(tmp_path, text)
    out = tmp_path / "out"
    ingest_here(path, mapping, out)
    spec = RawLogReader(ingested_logs(out)[0]).spec
    found = episodes_of(out)
    assert [violations(episode, spec) for episode in found] == [[]] * len(found)
    return text, load_mapping(mapping), found


def test_a_suggestion_for_json_ingests_as_it_is(tmp_path):
    path = write_json_mcap(
        tmp_path / "my log.mcap", arm_rows(11), metadata={"end": {"success": "yes"}}
    )
    text, mapping, found = _suggested(tmp_path, path)
    assert mapping.name == "my_log"
    assert mapping.clock.stream == "/state.q"
    assert found[0].num_steps == 11
    assert found[0].array("action").tolist()[:2] == [0.5, 1.5]
    assert mapping.success.attribute == "end.success"
    assert found[0].metadata.outcome.success is Success.YES
    assert "reward: success" in text


def test_a_suggestion_with_cameras_takes_them_as_the_clock(tmp_path):
    path = write_ros2_mcap(tmp_path / "a.mcap", arm_ros2_rows(6))
    _, mapping, found = _suggested(tmp_path, path)
    assert mapping.clock.stream in ("/packed", "/raw")
    assert mapping.spec["observation/packed"].encoding == "jpeg"
    assert mapping.spec["observation/raw"].shape == (6, 8, 3)
    assert found[0].num_steps == 6


def test_a_suggestion_leaves_out_what_changes_its_length_or_is_not_finite(tmp_path):
    rows = [
        ("/a", 0.1 * k, {"v": [1] * (k + 1), "w": k, "n": [float("nan"), 1]})
        for k in range(5)
    ]
    path = write_json_mcap(tmp_path / "a.mcap", rows)
    _, mapping, _ = _suggested(tmp_path, path)
    assert mapping.fields() == ["/a.w"]


def test_a_suggestion_for_bags_ingests_as_it_is(tmp_path):
    rows = [("/joint", 0.02 * k, [k, 1]) for k in range(30)]
    for path in (
        write_ros1_bag(tmp_path / "one.bag", rows),
        write_ros2_bag(tmp_path / "two", rows),
    ):
        _, mapping, found = _suggested(tmp_path / f"of_{path.stem}", path)
        # 50 Hz is thinned.
        assert mapping.clock.rate_hz == 10
        assert found[0].num_steps == 6


def test_a_log_of_texts_has_nothing_to_suggest(tmp_path):
    path = write_json_mcap(tmp_path / "a.mcap", [("/says", 0, {"text": "hello"})])
    with pytest.raises(UserError, match="no field of numbers or pictures"):
        suggest(path)


def test_names_that_yaml_would_misread_are_quoted(tmp_path):
    rows = [("/a b", 0.1 * k, {"x: #y": k, "a.b": k}) for k in range(3)]
    path = write_json_mcap(tmp_path / "a.mcap", rows)
    _, mapping, _ = _suggested(tmp_path, path)
    assert mapping.fields() == ["/a b"]


def test_a_format_is_recognised_by_its_bytes_whatever_it_is_called(tmp_path):
    mcap = write_json_mcap(tmp_path / "log.dat", arm_rows(2))
    bag = write_ros1_bag(tmp_path / "recording", [("/a", 0.0, [1])])
    folder = write_ros2_bag(tmp_path / "two", [("/a", 0.0, [1])])
    assert find_format(mcap).name == "mcap"
    assert find_format(bag).name == "ros1_bag"
    assert find_format(folder).name == "ros2_bag"


def test_other_people_s_metadata_and_databases_are_no_bags(tmp_path):
    import sqlite3

    (tmp_path / "metadata.yaml").write_text("author: somebody")
    with sqlite3.connect(tmp_path / "birds.sqlite") as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    with pytest.raises(UserError, match="holds no recording"):
        find_recordings(tmp_path)
    bag = write_ros2_bag(tmp_path / "two", [("/a", 0.0, [1])])
    renamed = tmp_path / "bag.sqlite"
    next(bag.glob("*.db3")).rename(renamed)
    assert find_format(renamed).name == "ros2_bag"


def test_what_nobody_reads_is_named_with_what_is_read(tmp_path):
    (tmp_path / "notes.md").write_text("hello")
    with pytest.raises(UserError, match="read are ros2_bag, mcap"):
        find_format(tmp_path / "notes.md")
    with pytest.raises(UserError, match="did you mean 'mcap'"):
        find_format(tmp_path / "notes.md", "mcapp")
    with pytest.raises(UserError, match="there is no recording"):
        find_format(tmp_path / "none")


def test_every_format_names_a_reader_that_is_there():
    for format in FORMATS:
        assert callable(format.type.recognises)


def test_recordings_are_found_at_any_depth_and_hidden_ones_are_not(tmp_path):
    write_json_mcap(tmp_path / "a.mcap", arm_rows(2))
    write_ros2_bag(tmp_path / "two", [("/a", 0.0, [1])])
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write_ros1_bag(tmp_path / "deep" / "er" / "b.bag", [("/a", 0.0, [1])])
    (tmp_path / ".hidden").mkdir()
    write_json_mcap(tmp_path / ".hidden" / "c.mcap", arm_rows(2))
    (tmp_path / "readme.md").write_text(json.dumps({}))
    found = [p.relative_to(tmp_path).as_posix() for p in find_recordings(tmp_path)]
    assert found == ["a.mcap", "deep/er/b.bag", "two"]
