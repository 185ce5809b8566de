"""The driver: one log a recording, resumed, deterministic, whatever is broken."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys

import pytest

from thresher.benchmarks.sound_logs import (
    arm_rows,
    at,
    write_json_mcap,
    write_ros1_bag,
    write_ros2_bag,
)
from thresher.episodes.contract import violations
from thresher.episodes.errors import UserError
from thresher.episodes.raw_log import RawLogReader, RawLogWriter
from thresher.pipelines.ingest.convert import Conversion
from thresher.pipelines.ingest.ingest import ingest, ingested_logs
from thresher.pipelines.ingest.reader import find_logs
from thresher.pipelines.stage import local_options
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode
from thresher.tests.pipelines.ingest.tiny_logs import (
    ARM_MAPPING,
    episodes_of,
    ingest_here,
    write_mapping,
)

_OTHER = ARM_MAPPING.replace("tiny_arm", "other")


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    (folder / "monday").mkdir(parents=True)
    write_json_mcap(folder / "monday" / "a.mcap", arm_rows(11))
    write_json_mcap(folder / "monday" / "b.mcap", arm_rows(5, start=100))
    write_json_mcap(folder / "c.mcap", arm_rows(3, start=200))
    return folder


def _bytes(out):
    return {
        log.relative_to(out).as_posix(): log.read_bytes() for log in ingested_logs(out)
    }


def test_each_recording_becomes_a_raw_log_of_sound_episodes(tmp_path, logs):
    out = tmp_path / "out"
    mapping = write_mapping(tmp_path)
    report = ingest_here(logs, mapping, out)
    assert sorted(_bytes(out)) == [
        "c.mcap.mcap",
        "monday/a.mcap.mcap",
        "monday/b.mcap.mcap",
    ]
    for log in ingested_logs(out):
        reader = RawLogReader(log)
        for _, episode in reader.episodes():
            assert violations(episode, reader.spec) == []
    assert report.episodes == 3
    assert [e.num_steps for e in episodes_of(out)] == [3, 11, 5]
    assert all(r.reconciles for r in report.recordings)
    total = report.total()
    assert total["read"] == 2 * (11 + 5 + 3)
    # The command after each final observation is of no step.
    assert total["read"] - total["used"] == 3


def test_an_episode_says_where_it_came_from(tmp_path, logs):
    from thresher.episodes.files import sha256_file

    out = tmp_path / "out"
    ingest_here(logs / "monday", write_mapping(tmp_path), out)
    episode = episodes_of(out)[0]
    came = episode.metadata.provenance
    assert came.source_file == "a.mcap"
    assert came.source_digest == sha256_file(logs / "monday" / "a.mcap")
    assert came.position == f"episode 0 at {at(0)}–{at(1.02)} ns"
    assert came.converter == "thresher.ingest mcap"
    assert "mapping " in came.converter_revision
    assert episode.metadata.start_time_ns == at(0)
    assert episode.metadata.behaviour.kind.value == "teleoperated"


def test_the_bytes_do_not_depend_on_order_workers_or_place(tmp_path, logs):
    mapping = write_mapping(tmp_path)
    ingest_here(logs, mapping, tmp_path / "one")
    moved = tmp_path / "elsewhere"
    shutil.copytree(logs, moved)
    ingest([moved], mapping, tmp_path / "two", local_options(2))
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two")
    parts = [logs / "c.mcap", logs / "monday"]
    ingest_here(parts, mapping, tmp_path / "three")
    ingest_here(parts[::-1], mapping, tmp_path / "four")
    assert _bytes(tmp_path / "three") == _bytes(tmp_path / "four")


def test_a_second_call_goes_on_from_what_is_there(tmp_path, logs):
    out, mapping = tmp_path / "out", write_mapping(tmp_path)
    ingest_here(logs, mapping, out)
    times = {log: log.stat().st_mtime_ns for log in ingested_logs(out)}
    write_json_mcap(logs / "d.mcap", arm_rows(4, start=300))
    report = ingest_here(logs, mapping, out)
    assert report.episodes == 4
    assert {log: log.stat().st_mtime_ns for log in times} == times


def test_a_changed_recording_is_ingested_anew_and_no_other(tmp_path, logs):
    out, mapping = tmp_path / "out", write_mapping(tmp_path)
    ingest_here(logs, mapping, out)
    before = _bytes(out)
    write_json_mcap(logs / "c.mcap", arm_rows(7, start=200))
    ingest_here(logs, mapping, out)
    after = _bytes(out)
    assert {name for name in after if after[name] != before[name]} == {"c.mcap.mcap"}


def test_a_changed_mapping_makes_every_log_anew(tmp_path, logs):
    out = tmp_path / "out"
    ingest_here(logs, write_mapping(tmp_path), out)
    before = _bytes(out)
    ingest_here(logs, write_mapping(tmp_path, ARM_MAPPING + "ending: terminal"), out)
    after = _bytes(out)
    assert before.keys() == after.keys()
    assert not any(after[name] == before[name] for name in after)
    assert len(list((out / ".reports").glob("*.json"))) == 3


def test_a_raw_log_that_was_removed_is_made_again(tmp_path, logs):
    out, mapping = tmp_path / "out", write_mapping(tmp_path)
    ingest_here(logs, mapping, out)
    before = _bytes(out)
    (out / "c.mcap.mcap").unlink()
    with pytest.raises(UserError, match="is gone; run the same"):
        ingested_logs(out)
    ingest_here(logs, mapping, out)
    assert _bytes(out) == before


def test_broken_recordings_do_not_stop_the_others(tmp_path, logs):
    (logs / "empty.mcap").write_bytes(b"")
    (logs / "wrong.bag").write_bytes(b"nonsense")
    (logs / "x.pkl").write_bytes(pickle.dumps({"a": 1}))
    write_ros1_bag(logs / "other.bag", [("/elsewhere", 0.0, "x")])
    half = (logs / "monday" / "a.mcap").read_bytes()
    (logs / "half.mcap").write_bytes(half[: len(half) // 2])
    out = tmp_path / "out"
    report = ingest_here(logs, write_mapping(tmp_path), out)
    told = {r.source: r for r in report.recordings}
    assert "it is empty" in told["empty.mcap"].error
    assert "is not a ROS 1 bag" in told["wrong.bag"].error
    assert "ickle" in told["x.pkl"].error
    assert "unknown topic" in told["other.bag"].error
    assert told["half.mcap"].episodes == 1
    assert "ends, or is damaged" in told["half.mcap"].damage
    assert report.episodes == 4
    assert report.quarantined == 0
    assert all(r.reconciles for r in report.recordings)
    saved = json.loads((out / "ingest.json").read_text())
    assert saved["total"]["unread"] == 4
    lines = "\n".join(report.lines())
    assert "empty.mcap" in lines
    assert "8 recordings (4 unread): 4 episodes kept, 0 quarantined" in lines


def test_nothing_at_all_is_an_error_that_says_the_first_reason(tmp_path):
    (tmp_path / "a.mcap").write_bytes(b"")
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"not one episode.*it is empty"):
        ingest_here(tmp_path / "a.mcap", write_mapping(tmp_path), out)
    assert (out / "ingest.json").exists()


def test_a_mapping_with_an_unknown_field_names_the_near_ones(tmp_path, logs):
    text = ARM_MAPPING.replace("/command", "/comand")
    with pytest.raises(UserError, match=r"did you mean '/command'"):
        ingest_here(logs, write_mapping(tmp_path, text), tmp_path / "out")


def test_two_recordings_of_one_name_are_refused(tmp_path, logs):
    (tmp_path / "more").mkdir()
    write_json_mcap(tmp_path / "more" / "c.mcap", arm_rows(3))
    with pytest.raises(UserError, match="would both be named 'c.mcap'"):
        ingest_here([logs, tmp_path / "more"], write_mapping(tmp_path), tmp_path / "o")


@pytest.mark.parametrize("empty", [True, False])
def test_a_source_that_is_not_there_is_named(tmp_path, empty):
    source = tmp_path / "none"
    if empty:
        source.mkdir()
    with pytest.raises(UserError, match=str(source)):
        ingest_here(source, write_mapping(tmp_path), tmp_path / "out")


def test_a_raw_log_of_our_own_needs_no_mapping(tmp_path):
    with RawLogWriter(tmp_path / "own.mcap", TINY_SPEC) as writer:
        writer.write(tiny_episode())
    with pytest.raises(UserError, match="its episodes need no mapping"):
        ingest_here(tmp_path / "own.mcap", write_mapping(tmp_path), tmp_path / "out")


def test_success_can_be_the_folder_a_recording_is_in(tmp_path, logs):
    text = ARM_MAPPING + "success: {attribute: path.folder, matches: monday}"
    out = tmp_path / "out"
    ingest_here(logs, write_mapping(tmp_path, text), out)
    said = [e.metadata.outcome.success.value for e in episodes_of(out)]
    assert said == ["no", "yes", "yes"]


def test_logs_without_a_clock_in_the_mapping_are_refused(tmp_path, logs):
    text = ARM_MAPPING.replace("clock: {stream: /state.q}\n", "")
    with pytest.raises(UserError, match="the mapping has no clock"):
        ingest_here(logs, write_mapping(tmp_path, text), tmp_path / "out")


def test_an_output_folder_among_the_recordings_is_not_ingested(tmp_path, logs):
    mapping = write_mapping(tmp_path)
    for _ in range(2):
        report = ingest_here(logs, mapping, logs / "out")
        assert [r.source for r in report.recordings] == [
            "c.mcap",
            "monday/a.mcap",
            "monday/b.mcap",
        ]


def test_what_a_killed_ingest_left_half_written_is_written_anew(tmp_path, logs):
    mapping = write_mapping(tmp_path)
    ingest_here(logs, mapping, tmp_path / "whole")
    half = tmp_path / "out" / "monday" / ".a.mcap.mcap.0123456789ab.part"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    ingest_here(logs, mapping, tmp_path / "out")
    assert _bytes(tmp_path / "out") == _bytes(tmp_path / "whole")
    assert not half.exists()


def test_a_second_ingest_into_a_folder_is_told_of_the_first(tmp_path, logs):
    from thresher.pipelines.only_one import only_one

    out, mapping = tmp_path / "out", write_mapping(tmp_path)
    ingest_here(logs, mapping, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with only_one(out / ".lock", "ingest"):
        with pytest.raises(UserError, match="another ingest is at work in .*out"):
            ingest_here(logs / "monday", write_mapping(tmp_path, _OTHER), out)
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert after == before


def test_logs_of_two_mappings_are_never_built_together(tmp_path, logs, monkeypatch):
    out = tmp_path / "out"
    ingest_here(logs, write_mapping(tmp_path), out)
    before = _bytes(out)

    def broken_off(*_):
        raise KeyboardInterrupt

    changed = write_mapping(tmp_path, _OTHER)
    with monkeypatch.context() as patch:
        patch.setattr("thresher.pipelines.ingest.ingest.run_stage", broken_off)
        with pytest.raises(KeyboardInterrupt):
            ingest_here(logs, changed, out)
    assert {name: (out / name).read_bytes() for name in before} == before
    with pytest.raises(UserError, match=r"run `thresher ingest`"):
        find_logs(out)
    ingest_here(logs, changed, out)
    assert {e.metadata.robot for e in episodes_of(out)} == {"other"}


def test_a_mapping_that_fits_nothing_costs_no_log_that_was_there(tmp_path, logs):
    out = tmp_path / "out"
    ingest_here(logs, write_mapping(tmp_path), out)
    before = _bytes(out)
    wrong = write_mapping(tmp_path, ARM_MAPPING.replace("/command.dq", "/command.dx"))
    with pytest.raises(UserError, match=r"/command\.dx"):
        ingest_here(logs, wrong, out)
    assert {name: (out / name).read_bytes() for name in before} == before
    ingest_here(logs, write_mapping(tmp_path), out)
    assert _bytes(out) == before


def test_logs_of_recordings_that_are_gone_are_not_built(tmp_path, logs):
    out = tmp_path / "out"
    ingest_here(logs, write_mapping(tmp_path), out)
    (logs / "monday" / "a.mcap").unlink()
    ingest_here(logs, write_mapping(tmp_path), out)
    assert (out / "monday" / "a.mcap.mcap").exists()
    assert find_logs(out) == ingested_logs(out)
    assert len(ingested_logs(out)) == 2


def test_nobody_elses_file_is_replaced(tmp_path, logs):
    out = tmp_path / "out"
    other = out / "monday" / "a.mcap.mcap"
    other.parent.mkdir(parents=True)
    with RawLogWriter(other, TINY_SPEC) as writer:
        writer.write(tiny_episode())
    before = other.read_bytes()
    with pytest.raises(UserError, match="was not written by `thresher ingest`"):
        ingest_here(logs, write_mapping(tmp_path), out)
    assert other.read_bytes() == before
    assert [p for p in out.rglob("*.mcap") if p != other] == []


def test_a_log_whose_report_was_lost_to_a_kill_is_an_ingests_own(tmp_path, logs):
    out = tmp_path / "out"
    ingest_here(logs, write_mapping(tmp_path), out)
    before = _bytes(out)
    shutil.rmtree(out / ".reports")
    ingest_here(logs, write_mapping(tmp_path), out)
    assert _bytes(out) == before


def test_a_recording_that_changes_while_it_is_read_is_no_episode(
    tmp_path, logs, monkeypatch
):
    results = Conversion.results

    def growing(self):
        yield from results(self)
        if self._origin.name == "c.mcap":
            with open(logs / "c.mcap", "ab") as file:
                file.write(b"more")

    monkeypatch.setattr(Conversion, "results", growing)
    out = tmp_path / "out"
    report = ingest_here(logs, write_mapping(tmp_path), out)
    errors = {r.source: r.error for r in report.recordings if r.error}
    assert list(errors) == ["c.mcap"]
    assert "changed while it was read" in errors["c.mcap"]
    assert sorted(_bytes(out)) == ["monday/a.mcap.mcap", "monday/b.mcap.mcap"]
    assert list(out.rglob(".*.part")) == []


def test_a_link_that_leads_back_up_multiplies_nothing(tmp_path, logs):
    (logs / "monday" / "loop").symlink_to(logs, target_is_directory=True)
    (logs / "again").symlink_to(logs / "monday", target_is_directory=True)
    report = ingest_here(logs, write_mapping(tmp_path), tmp_path / "out")
    assert [r.source for r in report.recordings] == [
        "again/a.mcap",
        "again/b.mcap",
        "c.mcap",
        "monday/a.mcap",
        "monday/b.mcap",
    ]


def test_names_as_long_as_they_may_be_are_ingested(tmp_path, logs):
    for letter, end in (("é", "x"), ("é", "y")):
        shutil.copy(logs / "c.mcap", logs / f"{letter * 124}{end}.mcap")
    report = ingest_here(logs, write_mapping(tmp_path), tmp_path / "out")
    assert [r.error for r in report.recordings] == [""] * 5
    assert len({r.log for r in report.recordings}) == 5
    assert len(episodes_of(tmp_path / "out")) == 5


def test_a_recording_in_the_output_folder_is_named(tmp_path, logs):
    with pytest.raises(UserError, match=r"c\.mcap lies in the output folder"):
        ingest_here(logs, write_mapping(tmp_path), logs)


def test_an_output_folder_in_a_recording_is_named(tmp_path):
    bag = write_ros2_bag(tmp_path / "bag", [("/x", 0.1, [1.0])])
    for out in (bag, bag / "deep" / "out"):
        with pytest.raises(UserError, match="lies in the recording"):
            ingest_here(bag, write_mapping(tmp_path), out)


def test_reader_options_reach_the_reader(tmp_path, logs):
    mapping, one = write_mapping(tmp_path), local_options(1)
    with pytest.raises(UserError, match="format"):
        ingest([logs], mapping, tmp_path / "a", one, format="nonsense")
    report = ingest([logs], mapping, tmp_path / "b", one, {"ros_distro": "humble"})
    assert report.episodes == 3
    before = report.mapping
    assert ingest([logs], mapping, tmp_path / "b", one).mapping != before


def test_an_ingest_killed_anywhere_goes_on_to_the_same_bytes(tmp_path, logs):
    command = [sys.executable, "-m", "thresher.tests.pipelines.ingest.killed_ingests"]
    words = [str(tmp_path), str(logs), str(write_mapping(tmp_path)), "14"]
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["problems"] == {}, done.stderr[-3000:]
    assert found["points"] == 14 <= found["events"]
