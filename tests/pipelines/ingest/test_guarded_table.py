"""Whatever a library does over a file, it costs the segment that it was on."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest import guard_process
from thresher.pipelines.ingest.guard_process import reading_process
from thresher.pipelines.ingest.hdf5 import Hdf5Table
from thresher.pipelines.ingest.recording import DamagedRecordingError, SegmentPointer
from thresher.tests.pipelines.ingest.unruly_reader import UnrulyReader, UnrulyTable

POINTER = SegmentPointer("episode 4", 3)


@pytest.fixture
def table():
    return UnrulyTable(Path("log.unruly"), {})


@pytest.fixture
def impatient(monkeypatch):
    reading_process.close()
    monkeypatch.setattr(guard_process, "SILENT_SECONDS", 4.0)
    yield
    reading_process.close()


def test_what_comes_through_is_what_was_read(table):
    through = table.read(POINTER, [])
    read = UnrulyReader(Path("log.unruly"), {}).read(POINTER, [])
    assert through.position == read.position
    assert through.attributes == read.attributes
    assert list(through.streams) == list(read.streams)
    for name, stream in read.streams.items():
        other = through.streams[name]
        np.testing.assert_array_equal(other.times_ns, stream.times_ns)
        if isinstance(stream.values, np.ndarray):
            np.testing.assert_array_equal(other.values, stream.values)
            assert other.values.dtype == stream.values.dtype
        else:
            assert other.values == stream.values


def test_contents_and_pointers_come_through(table):
    contents = table.contents()
    assert contents.fields[0].shape == (2,)
    assert contents.fields[1].shape is None
    assert contents.episodes == 1200
    pointers = list(table.pointers())
    assert pointers == list(UnrulyReader(Path(), {}).pointers())


@pytest.mark.parametrize("count", [0, 1, 7, 700])
@pytest.mark.parametrize("how", ["damaged", "memory", "user", "abort", "leave"])
def test_what_is_listed_before_damage_is_yielded(how, count):
    table = UnrulyTable(Path("log.unruly"), {"listing": f"{how}@{count}"})
    found = []
    with pytest.raises(UserError) as told:
        found.extend(table.pointers())
    assert found == list(UnrulyReader(Path(), {}).pointers())[:count]
    assert isinstance(told.value, DamagedRecordingError) == (how != "user")


def test_who_reads_while_a_listing_dies_gets_what_stands_before():
    table = UnrulyTable(Path("log.unruly"), {"listing": "abort@7"})
    found: list[str] = []
    positions = (table.read(pointer, []).position for pointer in table.pointers())
    with pytest.raises(DamagedRecordingError, match="crashes the library"):
        found.extend(positions)
    assert found == [f"episode {number}" for number in range(7)]


def test_who_trusts_a_file_reads_it_in_the_same_process():
    table = UnrulyTable(Path("log.unruly"), {"guarded": "false"})
    reading_process.close()
    assert len(table.read(POINTER, []).streams) == 9
    assert table.contents().episodes == len(list(table.pointers())) == 1200
    with pytest.raises(ZeroDivisionError, match="ours"):
        table.read(POINTER, ["fault"])
    with pytest.raises(UserError, match="option guarded: 'maybe'"):
        UnrulyTable(Path("log.unruly"), {"guarded": "maybe"})


def test_large_columns_come_through(tmp_path):
    h5py = pytest.importorskip("h5py")
    numbers = np.random.default_rng(0).normal(size=(200_000, 8))
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["data/demo_0/q"] = numbers
    table = Hdf5Table(tmp_path / "x.hdf5", {})
    segment = table.read(next(table.pointers()), ["q"])
    np.testing.assert_array_equal(segment.streams["q"].values, numbers)


@pytest.mark.parametrize(
    ("how", "reason"), [("abort", "SIGABRT"), ("leave", "exit code 3")]
)
def test_a_crash_is_damage_of_the_segment_and_others_are_read(table, how, reason):
    with pytest.raises(
        DamagedRecordingError, match=rf"log\.unruly, episode 4.*crashes.*{reason}"
    ):
        table.read(POINTER, [how])
    assert len(table.read(POINTER, []).streams) == 9


def test_a_hang_is_damage_of_the_segment_and_others_are_read(table, impatient):
    with pytest.raises(DamagedRecordingError, match="episode 4.*no sign of life"):
        table.read(POINTER, ["hang"])
    assert len(table.read(POINTER, []).streams) == 9


def test_what_is_slow_but_goes_on_is_waited_for(table, impatient):
    assert len(table.read(POINTER, ["slow"]).streams) == 9


def test_too_much_memory_is_damage_of_the_segment(table):
    with pytest.raises(DamagedRecordingError, match="too much memory"):
        table.read(POINTER, ["memory"])


def test_errors_keep_their_kind_and_words(table):
    with pytest.raises(DamagedRecordingError, match="^it is damaged$"):
        table.read(POINTER, ["damaged"])
    with pytest.raises(UserError, match="^no such field$") as told:
        table.read(POINTER, ["user"])
    assert not isinstance(told.value, DamagedRecordingError)


def test_a_fault_of_ours_is_no_damage_of_the_file(table):
    with pytest.raises(RuntimeError, match="ZeroDivisionError: ours"):
        table.read(POINTER, ["fault"])


def test_a_child_that_does_not_start_is_told(monkeypatch, table):
    reading_process.close()
    monkeypatch.setattr(guard_process, "_CHILD_MODULE", "thresher.nothing_of_the_kind")
    with pytest.raises(UserError, match=r"does not start.*import thresher"):
        table.read(POINTER, [])


def test_what_libraries_print_does_not_get_between(table):
    assert len(table.read(POINTER, ["print"]).streams) == 9


def test_threads_take_turns(table):
    found = []

    def read():
        found.extend(len(table.read(POINTER, []).streams) for _ in range(20))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [9] * 80


def test_a_forked_process_reads_through_a_child_of_its_own(table):
    table.contents()
    process = os.fork()
    if process == 0:
        alike = len(table.read(POINTER, []).streams) == 9
        os._exit(0 if alike else 1)
    assert len(table.read(POINTER, []).streams) == 9
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def test_a_heap_without_an_end_hangs_hdf5_and_nothing_else(tmp_path, impatient):
    """Found by fuzzing: HDF5 2.0 walks an object of size 2**64 - 16 for ever."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "heap.hdf5"
    with h5py.File(path, "w") as file:
        words = file.create_dataset(
            "data/demo_0/words", (3,), dtype=h5py.string_dtype()
        )
        words[:] = ["a", "b", "c"]
        file["data/demo_0/q"] = np.arange(3.0)
    data = bytearray(path.read_bytes())
    size = data.find(b"GCOL") + 16 + 8
    data[size : size + 8] = struct.pack("<Q", 2**64 - 16)
    path.write_bytes(data)
    table = Hdf5Table(path, {})
    pointer = next(table.pointers())
    with pytest.raises(DamagedRecordingError):
        table.read(pointer, ["words"])
    assert len(table.read(pointer, ["q"]).streams["q"].values) == 3
