"""MCAP logs: every profile, every compression, whole or not."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter

from thresher.benchmarks.sound_logs import (
    arm_ros2_rows,
    arm_rows,
    at,
    picture,
    write_json_mcap,
    write_ros2_mcap,
)
from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.mcap_log import McapLog
from thresher.pipelines.ingest.mcap_records import read_skeleton
from thresher.pipelines.ingest.recording import DamagedRecordingError

FIELDS = ["/state.q", "/command.dq"]


def _read(path, fields=FIELDS):
    return list(McapLog(path, {}).messages(fields))


def _told(messages):
    return [(m.time_ns, m.topic, str(m.values)) for m in messages]


def _read_damaged(path):
    """What can be read, and the error that comes then."""
    found = []
    try:
        found.extend(McapLog(path, {}).messages(FIELDS))
    except DamagedRecordingError as error:
        return found, error
    return found, None


@pytest.mark.parametrize("compression", list(CompressionType))
@pytest.mark.parametrize("chunked", [True, False])
def test_every_message_comes_once_in_the_order_of_time(tmp_path, compression, chunked):
    rows = arm_rows(40)
    path = write_json_mcap(
        tmp_path / "a.mcap", rows, compression=compression, chunked=chunked
    )
    found = _read(path)
    assert [m.time_ns for m in found] == sorted(at(row[1]) for row in rows)
    assert [m.values["/command.dq"] for m in found if m.topic == "/command"] == [
        0.5 + k for k in range(40)
    ]
    assert found[2].values["/state.q"].tolist() == [1.0, -1.0]
    assert found[2].position == "message 1 of /state"


def test_messages_that_were_written_out_of_order_come_in_order(tmp_path):
    rows = arm_rows(40)
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    path = write_json_mcap(tmp_path / "a.mcap", shuffled)
    assert len(read_skeleton(path).stretches) > 5
    times = [m.time_ns for m in _read(path)]
    assert times == sorted(times)
    assert len(times) == len(rows)


def test_messages_of_other_topics_are_counted_but_not_decoded(tmp_path):
    rows = [*arm_rows(5), ("/other", 0.3, {"x": 1})]
    log = McapLog(write_json_mcap(tmp_path / "a.mcap", rows), {})
    assert len(list(log.messages(["/state.q"]))) == 5
    assert dict(log.not_asked_for) == {"/command": 5, "/other": 1}


def test_ros2_messages_of_custom_types_are_flattened_in_declared_order(tmp_path):
    path = write_ros2_mcap(tmp_path / "a.mcap", arm_ros2_rows())
    found = _read(path, ["/arm.tip", "/arm.q", "/arm.q[1]", "/arm.header.stamp"])
    # The type declares z before x.
    assert [m.values["/arm.tip"].tolist() for m in found] == [[3, k] for k in range(5)]
    assert found[4].values["/arm.q"].tolist() == [4.0, 8.0]
    assert found[4].values["/arm.q[1]"] == 8.0
    assert found[4].values["/arm.header.stamp"] == at(0.4 - 0.03)


def test_compressed_pictures_stay_byte_for_byte_and_raw_ones_become_png(tmp_path):
    from thresher.episodes.images import decode_image, encode_image

    path = write_ros2_mcap(tmp_path / "a.mcap", arm_ros2_rows(2))
    found = _read(path, ["/raw", "/packed"])
    packed = [m.values["/packed"] for m in found if m.topic == "/packed"]
    assert packed == [encode_image(picture(k), "jpeg") for k in range(2)]
    raw = [m.values["/raw"] for m in found if m.topic == "/raw"]
    assert np.array_equal(decode_image(raw[1]), picture(1))


def test_ros1_messages_are_read(tmp_path):
    from mcap_ros1._vendor.genpy.dynamic import generate_dynamic

    text = "float64 x\ntwo/Part part\n" + "=" * 80 + "\nMSG: two/Part\nint32[2] n\n"
    path = tmp_path / "a.mcap"
    types = generate_dynamic("one/Whole", text)
    with open(path, "wb") as file:
        writer = McapWriter(file)
        writer.start(profile="ros1")
        schema = writer.register_schema("one/Whole", "ros1msg", text.encode())
        channel = writer.register_channel("/w", "ros1", schema)
        import io

        buffer = io.BytesIO()
        types["one/Whole"](1.5, types["two/Part"]([3, 4])).serialize(buffer)
        writer.add_message(channel, at(0), buffer.getvalue(), at(0))
        writer.finish()
    (message,) = _read(path, ["/w", "/w.part.n"])
    assert message.values["/w"].tolist() == [1.5, 3, 4]
    assert message.values["/w.part.n"].tolist() == [3, 4]


def test_protobuf_messages_are_read_with_the_schema_in_the_file(tmp_path):
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.wrappers_pb2 import DoubleValue
    from mcap_protobuf.writer import Writer

    path = tmp_path / "a.mcap"
    with open(path, "wb") as file, Writer(file) as writer:
        writer.write_message("/d", DoubleValue(value=2.5), at(0), at(0))
        writer.write_message("/t", Duration(seconds=1, nanos=5), at(1), at(1))
    first, second = _read(path, ["/d.value", "/t"])
    assert first.values == {"/d.value": 2.5}
    assert second.values == {"/t": 10**9 + 5}


def test_a_killed_recorder_s_file_is_read_to_its_last_whole_chunk(tmp_path):
    rows = arm_rows(40)
    whole = write_json_mcap(tmp_path / "whole.mcap", rows)
    cut = write_json_mcap(tmp_path / "cut.mcap", rows, finish=False)
    found, error = _read_damaged(cut)
    assert _told(found) == _told(_read(whole))[: len(found)]
    assert len(found) > 60
    assert "ends, or is damaged" in str(error)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_gives_what_stands_before_the_cut(tmp_path, part):
    path = write_json_mcap(
        tmp_path / "a.mcap", arm_rows(40), compression=CompressionType.ZSTD
    )
    expected = _told(_read(path))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    found, error = _read_damaged(path)
    assert _told(found) == expected[: len(found)]
    assert str(path) in str(error)


def test_a_flipped_bit_loses_its_chunk_and_no_other(tmp_path):
    path = write_json_mcap(
        tmp_path / "a.mcap", arm_rows(40), compression=CompressionType.LZ4
    )
    chunks = read_skeleton(path).stretches
    data = bytearray(path.read_bytes())
    data[chunks[3].offset + chunks[3].length // 2] ^= 0x10
    path.write_bytes(data)
    found = _read(path)
    lost = [m for m in found if m.problem]
    assert len(lost) == 1
    assert not lost[0].topic
    assert f"bytes {chunks[3].offset}" in lost[0].problem
    assert len(found) > 60


def test_chunks_behind_a_broken_head_are_found_by_the_index(tmp_path):
    path = write_json_mcap(tmp_path / "a.mcap", arm_rows(40))
    chunks = read_skeleton(path).stretches
    data = bytearray(path.read_bytes())
    # The length of the fourth chunk becomes endless.
    data[chunks[3].offset + 1 : chunks[3].offset + 9] = struct.pack("<Q", 2**60)
    path.write_bytes(data)
    found, error = _read_damaged(path)
    assert found[-1].time_ns == at(39 * 0.1 + 0.02)
    assert error is not None


def test_a_chunk_that_says_it_holds_terabytes_is_not_believed(tmp_path):
    path = write_json_mcap(
        tmp_path / "a.mcap", arm_rows(40), compression=CompressionType.ZSTD
    )
    chunk = read_skeleton(path).stretches[0]
    data = bytearray(path.read_bytes())
    data[chunk.offset + 9 + 16 : chunk.offset + 9 + 24] = struct.pack("<Q", 2**42)
    path.write_bytes(data)
    lost = [m.problem for m in _read(path) if m.problem]
    assert "more than the" in lost[0]


@pytest.mark.parametrize(
    ("content", "rule"),
    [(b"", "is empty"), (b"#ROSBAG V2.0\n" * 9, "starts with"), (b"\x89MC", "starts")],
)
def test_what_is_no_mcap_file_is_named(tmp_path, content, rule):
    path = tmp_path / "a.mcap"
    path.write_bytes(content)
    with pytest.raises(DamagedRecordingError, match=rule):
        _read(path)


def test_a_log_without_channels_says_so(tmp_path):
    path = write_json_mcap(tmp_path / "a.mcap", [])
    with pytest.raises(DamagedRecordingError, match="holds no channels"):
        _read(path)


def test_a_topic_that_is_not_there_is_named_with_the_near_ones(tmp_path):
    path = write_json_mcap(tmp_path / "a.mcap", arm_rows(2))
    with pytest.raises(UserError, match="did you mean '/state'"):
        _read(path, ["/stat.q"])


def test_a_field_that_ros_messages_lack_is_named_with_the_near_ones(tmp_path):
    path = write_ros2_mcap(tmp_path / "a.mcap", arm_ros2_rows(1))
    with pytest.raises(UserError, match="'tib'.*did you mean 'tip'"):
        _read(path, ["/arm.tib"])


def test_a_message_that_is_no_json_comes_with_its_problem(tmp_path):
    path = tmp_path / "a.mcap"
    with open(path, "wb") as file:
        writer = McapWriter(file)
        writer.start()
        schema = writer.register_schema("s", "jsonschema", b"{}")
        channel = writer.register_channel("/s", "json", schema)
        for k, data in enumerate([b'{"a": 1}', b"\xff", b"[1]", b'{"a": 2}']):
            writer.add_message(channel, at(k), data, at(k))
        writer.finish()
    found = _read(path, ["/s.a"])
    assert [m.values.get("/s.a") for m in found] == [1, None, None, 2]
    assert [bool(m.problem) for m in found] == [False, True, True, False]


def test_a_ros2_message_with_bytes_left_over_comes_with_its_problem(tmp_path):
    from mcap.reader import make_reader

    source = write_ros2_mcap(tmp_path / "a.mcap", arm_ros2_rows(2))
    path = tmp_path / "b.mcap"
    with open(source, "rb") as old, open(path, "wb") as file:
        writer = McapWriter(file)
        writer.start()
        for schema, channel, message in make_reader(old).iter_messages("/arm"):
            number = writer.register_schema(schema.name, schema.encoding, schema.data)
            own = writer.register_channel("/arm", channel.message_encoding, number)
            data = message.data + b"\0" * 9 * (message.log_time > at(0))
            writer.add_message(own, message.log_time, data, message.publish_time)
        writer.finish()
    good, bad = _read(path, ["/arm.q"])
    assert not good.problem
    assert "size mismatch" in bad.problem


def test_encodings_that_are_not_read_are_named(tmp_path):
    path = tmp_path / "a.mcap"
    with open(path, "wb") as file:
        writer = McapWriter(file)
        writer.start()
        schema = writer.register_schema("s", "flatbuffer", b"")
        channel = writer.register_channel("/s", "flatbuffer", schema)
        writer.add_message(channel, at(0), b"x", at(0))
        writer.finish()
    (message,) = _read(path, ["/s.a"])
    assert "'flatbuffer'" in message.problem


def test_a_schema_with_an_endless_array_is_refused(tmp_path):
    path = tmp_path / "a.mcap"
    with open(path, "wb") as file:
        writer = McapWriter(file)
        writer.start()
        text = b"string[1000000000] names"
        schema = writer.register_schema("a/msg/B", "ros2msg", text)
        channel = writer.register_channel("/s", "cdr", schema)
        writer.add_message(channel, at(0), b"\0\1\0\0", at(0))
        writer.finish()
    (message,) = _read(path, ["/s.names"])
    assert "array of 1000000000 entries" in message.problem


def test_metadata_records_are_attributes(tmp_path):
    path = write_json_mcap(
        tmp_path / "a.mcap", arm_rows(2), metadata={"end": {"success": "True"}}
    )
    assert McapLog(path, {}).attributes() == {"end.success": "True"}


def test_contents_tell_counts_rates_gaps_and_fields(tmp_path):
    rows = [*arm_rows(5), *arm_rows(5, start=2.0)]
    contents = McapLog(write_json_mcap(tmp_path / "a.mcap", rows), {}).contents()
    fields = {field.name: field for field in contents.fields}
    assert fields["/state.q"].shape == (2,)
    assert fields["/state.q"].count == 10
    assert fields["/state.mode"].type == "str"
    assert fields["/state"].largest_gap_seconds == pytest.approx(1.6)
    assert fields["/state"].rate_hz == pytest.approx(9 / 2.4)


def test_lists_of_protobuf_messages_say_how_one_is_chosen(tmp_path):
    from google.protobuf.descriptor_pb2 import DescriptorProto
    from mcap_protobuf.writer import Writer

    message = DescriptorProto(name="arm")
    message.field.add(name="elbow", number=1)
    with open(tmp_path / "a.mcap", "wb") as file:
        writer = Writer(file)
        writer.write_message("/pb", message, at(0), at(0))
        writer.finish()
    fields = {f.name: f for f in McapLog(tmp_path / "a.mcap", {}).contents().fields}
    assert fields["/pb.field"].type == "list"
    assert "entries of: name, " in fields["/pb.field"].note
    assert "[key=value]" in fields["/pb.field"].note
