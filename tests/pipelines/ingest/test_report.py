"""What was lost is told where people look, with a way to mend it."""

from __future__ import annotations

import pytest

from thresher.benchmarks.sound_logs import arm_rows, write_json_mcap
from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.mcap_log import McapLog
from thresher.pipelines.ingest.report import IngestReport, RecordingReport
from thresher.tests.pipelines.ingest.tiny_logs import (
    ARM_MAPPING,
    ingest_here,
    write_mapping,
)


def _flipped(path, chunk):
    """Flips a bit in the middle of a chunk of a file."""
    stretch = [s for s in McapLog(path, {})._skeleton.stretches if s.is_chunk][chunk]
    data = bytearray(path.read_bytes())
    data[stretch.offset + stretch.length // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("chunk", [0, 2, -1])
def test_a_lost_chunk_costs_the_episode_that_it_is_of(tmp_path, chunk):
    logs = tmp_path / "logs"
    logs.mkdir()
    write_json_mcap(logs / "a.mcap", arm_rows(5))
    _flipped(write_json_mcap(logs / "b.mcap", arm_rows(11)), chunk)
    report = ingest_here(logs, write_mapping(tmp_path), tmp_path / "out")
    assert report.episodes == 1
    (lost,) = [r for r in report.recordings if r.source == "b.mcap"]
    assert "its messages are lost" in lost.quarantined[0]["reasons"][0]
    told = [line for line in report.lines() if "b.mcap" in line]
    assert len(told) == 1 and "copy the file again" in told[0]


def test_what_is_lost_outside_every_episode_is_told(tmp_path):
    path = write_json_mcap(
        tmp_path / "a.mcap", [*arm_rows(6), ("/on", 0.6, {}), *arm_rows(9, start=0.7)]
    )
    _flipped(path, 0)
    text = ARM_MAPPING + "episodes: {by: message, start: /on}\n"
    report = ingest_here(path, write_mapping(tmp_path, text), tmp_path / "out")
    assert report.episodes == 1
    (told,) = [line for line in report.lines() if "checksum" in line]
    assert told.startswith("damaged: a.mcap")


def test_where_nothing_is_left_the_damage_is_the_reason(tmp_path):
    path = write_json_mcap(tmp_path / "a.mcap", arm_rows(3), chunk_size=1 << 20)
    _flipped(path, 0)
    with pytest.raises(UserError, match=r"not one episode .*fails its checksum"):
        ingest_here(path, write_mapping(tmp_path), tmp_path / "out")


def test_many_reasons_are_cut_short():
    reasons = [f"message {n} is broken" for n in range(20)]
    quarantined = [{"position": "all of it", "reasons": reasons}]
    report = RecordingReport("a.mcap", quarantined=quarantined)
    (told,) = [x for x in IngestReport("", [report]).lines() if "broken" in x]
    assert "message 2 is broken; and 17 more" in told and "message 3 " not in told
