"""A sample of damaged logs: refused, set aside or read in part, and nothing else.

`benchmarks/fuzz_readers.py` tries thousands; what it found is kept here.
"""

from __future__ import annotations

import pytest
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter

from thresher.benchmarks.fuzz_readers import KINDS, cases, mapping_of, outcome, run
from thresher.benchmarks.sound_logs import at
from thresher.pipelines.ingest.mcap_log import McapLog
from thresher.pipelines.ingest.recording import DamagedRecordingError

SAMPLE = 40


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_logs_break_nothing(tmp_path, kind):
    counts = run(kind, 0, SAMPLE, tmp_path)
    assert sum(counts.values()) == SAMPLE
    assert [said for said in counts if said.startswith("BROKE")] == []
    # Damage that is never met would prove nothing.
    assert counts["refused"] > 0
    assert len(counts) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_damaged_is_sound_before(tmp_path, kind):
    path = KINDS[kind][0](tmp_path)
    assert outcome(path, mapping_of(kind, tmp_path)) == "whole"


def test_the_same_case_is_the_same_damage(tmp_path):
    first = [
        path.read_bytes() for _, (_, path) in zip(range(5), cases("ros1", tmp_path))
    ]
    again = [
        path.read_bytes() for _, (_, path) in zip(range(5), cases("ros1", tmp_path))
    ]
    assert first == again


def test_a_schema_that_ends_inside_itself_is_passed_over(tmp_path):
    """Found by fuzzing: the library's reader of records raises an EndOfFile of its own.

    Without a summary, schemas are looked for in the chunks.
    """
    path = tmp_path / "a.mcap"
    with open(path, "wb") as file:
        writer = McapWriter(file, 30, CompressionType.NONE, enable_crcs=False)
        writer.start()
        schema = writer.register_schema("test.schema", "jsonschema", b"{}")
        channel = writer.register_channel("/s", "json", schema)
        for k in range(2):
            writer.add_message(channel, at(k), b'{"a": 1}', at(k))
        file.flush()
    sound = path.read_bytes()
    name = b"\x0b\0\0\0test.schema"
    assert sound.count(name) == 1
    path.write_bytes(sound.replace(name, b"\xff\xff" + name[2:]))
    found = []
    with pytest.raises(DamagedRecordingError, match="ends, or is damaged"):
        found.extend(McapLog(path, {}).messages(["/s.a"]))
    assert [message.values for message in found] == [{"/s.a": 1}] * 2
