"""ROS 1 and ROS 2 bags: compressed, split, cut off, without schemas or metadata."""

from __future__ import annotations

import shutil
import struct

import numpy as np
import pytest

from thresher.benchmarks.sound_logs import at, write_ros1_bag, write_ros2_bag
from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.formats import find_recordings
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.ros1_bag import Ros1Bag, Ros1SplitBag
from thresher.pipelines.ingest.ros1_records import read_skeleton
from thresher.pipelines.ingest.ros2_bag import Ros2Bag

FIELDS = ["/state.data", "/says.data"]


def rows(count=20, start=0.0):
    found = []
    for k in range(count):
        now = start + 0.1 * k
        found.append(("/state", now, [k, -k]))
        found.append(("/says", now + 0.01, f"step {k}"))
    return found


def _told(messages):
    return [
        (m.time_ns, m.topic, str(m.values.get("/state.data", m.values)), m.problem)
        for m in messages
    ]


def _read(log):
    return _told(log.messages(FIELDS))


def _read_damaged(log):
    found = []
    try:
        found.extend(log.messages(FIELDS))
    except DamagedRecordingError as error:
        return _told(found), str(error)
    return _told(found), ""


@pytest.mark.parametrize("compression", ["", "BZ2", "LZ4"])
def test_ros1_bags_give_every_message_in_the_order_of_time(tmp_path, compression):
    path = write_ros1_bag(tmp_path / "a.bag", rows(), compression)
    found = list(Ros1Bag(path, {}).messages(FIELDS))
    assert [m.time_ns for m in found] == [at(row[1]) for row in rows()]
    assert found[6].values["/state.data"].tolist() == [3.0, -3.0]
    assert found[7].values["/says.data"] == "step 3"


def test_ros1_and_ros2_bags_of_one_recording_give_the_same_messages(tmp_path):
    one = Ros1Bag(write_ros1_bag(tmp_path / "a.bag", rows()), {})
    two = Ros2Bag(write_ros2_bag(tmp_path / "two", rows()), {})
    three = Ros2Bag(write_ros2_bag(tmp_path / "three", rows(), storage="MCAP"), {})
    assert _read(one) == _read(two) == _read(three)


@pytest.mark.parametrize("compression", ["FILE", "MESSAGE"])
def test_compressed_ros2_bags_are_read(tmp_path, compression):
    plain = Ros2Bag(write_ros2_bag(tmp_path / "plain", rows()), {})
    packed = write_ros2_bag(tmp_path / "packed", rows(), compression=compression)
    assert _read(Ros2Bag(packed, {})) == _read(plain)


def test_split_ros1_bags_in_a_folder_are_one_recording(tmp_path):
    whole = Ros1Bag(write_ros1_bag(tmp_path / "whole.bag", rows()), {})
    folder = tmp_path / "parts"
    folder.mkdir()
    write_ros1_bag(folder / "r_0.bag", rows()[:17])
    write_ros1_bag(folder / "r_1.bag", rows()[17:])
    assert _read(Ros1SplitBag(folder, {})) == _read(whole)


def test_split_ros2_bags_are_one_recording_with_or_without_metadata(tmp_path):
    whole = Ros2Bag(write_ros2_bag(tmp_path / "whole", rows()), {})
    folder = tmp_path / "parts"
    folder.mkdir()
    for number, part in enumerate((rows()[:17], rows()[17:])):
        made = write_ros2_bag(tmp_path / f"part{number}", part)
        shutil.copy(next(made.glob("*.db3")), folder / f"parts_{number}.db3")
    log = Ros2Bag(folder, {})
    assert _read(log) == _read(whole)
    assert any("metadata.yaml is missing" in note for note in log.notes())


def test_a_ros2_file_alone_is_read(tmp_path):
    folder = write_ros2_bag(tmp_path / "whole", rows())
    file = next(folder.glob("*.db3"))
    assert Ros2Bag.recognises(file)
    assert _read(Ros2Bag(file, {})) == _read(Ros2Bag(folder, {}))


def _without_definitions(folder):
    import sqlite3

    with sqlite3.connect(next(folder.glob("*.db3"))) as connection:
        connection.execute("DELETE FROM message_definitions")
    (folder / "metadata.yaml").unlink()
    return folder


def test_a_bag_without_definitions_asks_for_the_distribution(tmp_path):
    folder = _without_definitions(write_ros2_bag(tmp_path / "b", rows()))
    with pytest.raises(UserError, match="--option ros_distro=humble"):
        _read(Ros2Bag(folder, {}))
    whole = Ros2Bag(write_ros2_bag(tmp_path / "whole", rows()), {})
    assert _read(Ros2Bag(folder, {"ros_distro": "humble"})) == _read(whole)
    with pytest.raises(UserError, match="did you mean 'humble'"):
        _read(Ros2Bag(folder, {"ros_distro": "humbel"}))


def test_files_that_metadata_names_but_that_are_gone_are_named(tmp_path):
    folder = write_ros2_bag(tmp_path / "b", rows())
    next(folder.glob("*.db3")).unlink()
    with pytest.raises(DamagedRecordingError, match=r"b.db3.*is not there"):
        _read(Ros2Bag(folder, {}))


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "rosbag2_bagfile_information:"])
def test_damaged_metadata_is_named_with_the_way_out(tmp_path, text):
    folder = write_ros2_bag(tmp_path / "b", rows())
    (folder / "metadata.yaml").write_text(text)
    with pytest.raises(DamagedRecordingError, match="remove it"):
        _read(Ros2Bag(folder, {}))


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8, 0.95])
def test_a_truncated_ros1_bag_gives_what_stands_before_the_cut(tmp_path, part):
    path = write_ros1_bag(tmp_path / "a.bag", rows(), "LZ4")
    expected = _read(Ros1Bag(path, {}))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    found, error = _read_damaged(Ros1Bag(path, {}))
    assert found == expected[: len(found)]
    assert str(path) in error


def test_a_ros1_bag_cut_in_its_only_chunk_does_not_blame_the_topics(tmp_path):
    path = write_ros1_bag(tmp_path / "a.bag", rows(3), "BZ2")
    data = path.read_bytes()
    path.write_bytes(data[: read_skeleton(path).chunks[0].data + 20])
    found, error = _read_damaged(Ros1Bag(path, {}))
    assert not found
    assert "none that can be read" in error
    assert "copy it again from the recorder" in error
    assert "nothing was recorded" not in error


def test_a_ros1_bag_cut_between_two_others_is_a_lost_stretch(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(3):
        write_ros1_bag(folder / f"r_{number}.bag", rows(start=10 * number), "LZ4")
    whole = _read(Ros1SplitBag(folder, {}))
    _cut(folder / "r_1.bag", 0.4)
    found, error = _read_damaged(Ros1SplitBag(folder, {}))
    [mark] = [k for k, message in enumerate(found) if not message[1]]
    assert 40 <= mark < 80
    assert found[:mark] == whole[:mark]
    assert found[mark + 1 :] == whole[80:]
    assert "r_1.bag" in found[mark][3]
    assert "damaged" in error


def test_a_bag_that_was_never_closed_is_read_without_its_index(tmp_path):
    path = write_ros1_bag(tmp_path / "a.bag", rows())
    whole = _read(Ros1Bag(path, {}))
    chunks = read_skeleton(path).chunks
    # What rosbag leaves when it is killed: chunks, and index_pos 0 in the head.
    data = bytearray(path.read_bytes())
    at_index = data.index(b"index_pos=") + len(b"index_pos=")
    data[at_index : at_index + 8] = bytes(8)
    path.write_bytes(data[: chunks[-1].offset])
    found, error = _read_damaged(Ros1Bag(path, {}))
    assert found == whole[: len(found)]
    assert len(found) >= len(whole) - 4
    assert error == ""


def test_a_flipped_bit_in_a_ros1_bag_loses_its_chunk_and_no_other(tmp_path):
    path = write_ros1_bag(tmp_path / "a.bag", rows(), "BZ2")
    chunk = read_skeleton(path).chunks[3]
    data = bytearray(path.read_bytes())
    data[chunk.data + chunk.length // 2] ^= 4
    path.write_bytes(data)
    found = list(Ros1Bag(path, {}).messages(FIELDS))
    lost = [m for m in found if m.problem]
    assert len(lost) == 1
    assert f"bytes {chunk.offset}" in lost[0].problem
    assert len(found) > 30


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "it is empty"),
        (b"#ROSBAG V1.2\n" + bytes(99), "version '1.2'.*rosbag fix"),
        (b"\x89MCAP0\r\n" + bytes(99), "is not a ROS 1 bag"),
    ],
)
def test_what_is_no_ros1_bag_is_named(tmp_path, content, rule):
    path = tmp_path / "a.bag"
    path.write_bytes(content)
    with pytest.raises(DamagedRecordingError, match=rule):
        _read(Ros1Bag(path, {}))


def test_endless_lengths_in_a_ros1_bag_are_not_believed(tmp_path):
    path = write_ros1_bag(tmp_path / "a.bag", rows())
    chunk = read_skeleton(path).chunks[2]
    data = bytearray(path.read_bytes())
    data[chunk.data - 4 : chunk.data] = struct.pack("<I", 2**32 - 1)
    path.write_bytes(data)
    found, error = _read_damaged(Ros1Bag(path, {}))
    assert 0 < len(found) < 40
    assert "4294967295 bytes" in error


def test_a_database_of_something_else_is_named(tmp_path):
    import sqlite3

    path = tmp_path / "a.db3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    with pytest.raises(DamagedRecordingError, match="without a ROS 2 bag's tables"):
        _read(Ros2Bag(path, {}))


def test_a_truncated_database_is_named(tmp_path):
    many = rows(400)
    file = next(write_ros2_bag(tmp_path / "b", many).glob("*.db3"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    found, error = _read_damaged(Ros2Bag(file, {}))
    assert str(file) in error
    assert len(found) < len(many)


def _split(tmp_path, parts, storage="SQLITE3"):
    """Writes a bag of several files without metadata, and returns them."""
    folder = tmp_path / "split"
    folder.mkdir()
    files = []
    for number, part in enumerate(parts):
        made = write_ros2_bag(tmp_path / f"part{number}", part, storage=storage)
        [file] = [file for file in made.iterdir() if file.suffix != ".yaml"]
        files.append(folder / f"split_{number}{file.suffix}")
        shutil.copy(file, files[-1])
    return files


def _cut(file, share=0.5):
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])


@pytest.mark.parametrize("storage", ["SQLITE3", "MCAP"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_a_last_file_that_is_cut_off_does_not_spoil_those_before(
    tmp_path, storage, share
):
    parts = [rows(start=10 * k) for k in range(3)]
    files = _split(tmp_path, parts, storage)
    whole = _read(Ros2Bag(files[0].parent, {}))
    _cut(files[2], share)
    found, error = _read_damaged(Ros2Bag(files[0].parent, {}))
    assert len(found) >= 80
    assert found == whole[: len(found)]
    assert str(files[2]) in error


@pytest.mark.parametrize("lost", [[0], [1], [0, 1], [1, 2]])
def test_a_file_that_is_lost_is_a_stretch_without_messages(tmp_path, lost):
    parts = [rows(start=10 * k) for k in range(4)]
    files = _split(tmp_path, parts)
    whole = _read(Ros2Bag(files[0].parent, {}))
    for number in lost:
        _cut(files[number])
    found, error = _read_damaged(Ros2Bag(files[0].parent, {}))
    kept = [k for k in range(160) if k // 40 not in lost]
    assert [m for m in found if m[1]] == [whole[k] for k in kept]
    # Said where it is, for no episode may go on across it.
    place = 40 * lost[0]
    marks = found[place : place + len(lost)]
    assert [mark[1] for mark in marks] == [""] * len(lost)
    assert [str(files[n]) in mark[3] for n, mark in zip(lost, marks)] == [True] * len(
        lost
    )
    assert str(files[lost[0]]) in error
    assert "what stands before" not in error


def test_a_file_cut_between_two_is_said_where_it_ends(tmp_path):
    files = _split(tmp_path, [rows(start=10 * k) for k in range(3)], "MCAP")
    _cut(files[1], 0.9)
    found, error = _read_damaged(Ros2Bag(files[0].parent, {}))
    places = [k for k, message in enumerate(found) if not message[1]]
    assert len(places) == 1
    assert 40 < places[0] <= 80
    assert str(files[1]) in found[places[0]][3]
    assert str(files[1]) in error


def test_a_bag_of_which_no_file_can_be_read_says_why(tmp_path):
    files = _split(tmp_path, [rows(), rows(start=10)])
    for file in files:
        _cut(file)
    found, error = _read_damaged(Ros2Bag(files[0].parent, {}))
    assert not found
    assert str(files[0]) in error
    assert "nothing was recorded" not in error


def test_a_database_that_was_not_closed_says_so(tmp_path):
    file = next(write_ros2_bag(tmp_path / "b", rows()).glob("*.db3"))
    file.with_name(f"{file.name}-wal").write_bytes(b"x")
    assert "was not closed" in Ros2Bag(file, {}).notes()[0]


def test_a_bag_without_messages_says_so(tmp_path):
    path = write_ros1_bag(tmp_path / "a.bag", [])
    with pytest.raises(DamagedRecordingError, match="nothing was recorded"):
        _read(Ros1Bag(path, {}))
    with pytest.raises(DamagedRecordingError, match="nothing was recorded"):
        _read(Ros2Bag(write_ros2_bag(tmp_path / "b", []), {}))


def test_messages_that_overlap_between_files_come_in_order(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    mixed = [rows()[k] for k in np.random.default_rng(1).permutation(40)]
    write_ros1_bag(folder / "a.bag", sorted(mixed[:20], key=lambda r: r[1]))
    write_ros1_bag(folder / "b.bag", sorted(mixed[20:], key=lambda r: r[1]))
    found = list(Ros1SplitBag(folder, {}).messages(FIELDS))
    assert [m.time_ns for m in found] == [at(row[1]) for row in rows()]


def test_a_folder_of_bags_is_one_recording_only_when_a_mapping_says_so(tmp_path):
    for number in range(2):
        write_ros1_bag(tmp_path / f"r_{number}.bag", rows(3, start=number))
    assert len(find_recordings(tmp_path)) == 2
    assert find_recordings(tmp_path, "ros1_split") == [tmp_path]
