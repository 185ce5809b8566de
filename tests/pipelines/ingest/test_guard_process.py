"""Segments are read ahead and lent, and it makes no difference to who holds them."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.pipelines.ingest import guard_process, guard_wire
from thresher.pipelines.ingest.guard_process import reading_process
from thresher.pipelines.ingest.guard_wire import Wire
from thresher.pipelines.ingest.hdf5 import Hdf5Table
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.shared_memory import KEPT_BYTES
from thresher.tests.pipelines.ingest.unruly_reader import UnrulyTable


@pytest.fixture
def table():
    return UnrulyTable(Path("log.unruly"), {})


@pytest.fixture
def episodes(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        for number in range(30):
            file[f"data/demo_{number}/q"] = np.full((50, 4), number, np.float32)
            rows = np.arange(50, dtype=">i4") + number
            file[f"data/demo_{number}/row"] = rows
    return path


def _own(segment):
    """Returns the number that every value of an unruly segment is."""
    values = segment.streams["own"].values
    assert len(np.unique(values)) == 1
    return int(values[0, 0])


def _files_of_child():
    folder = Path(f"/proc/{reading_process._process.pid}/fd")
    return {str(link.readlink()) for link in folder.iterdir() if link.is_symlink()}


def test_what_is_kept_does_not_change_when_more_is_read(table):
    kept = [table.read(pointer, []) for pointer, _ in zip(table.pointers(), range(40))]
    assert [_own(segment) for segment in kept] == list(range(40))
    own = [segment.streams["own"] for segment in kept]
    del kept
    gc.collect()
    for pointer, _ in zip(table.pointers(), range(40)):
        table.read(pointer, [])
    assert [int(stream.values[0, 0]) for stream in own] == list(range(40))


@settings(max_examples=40, deadline=None)
@given(
    order=st.lists(st.integers(0, 8), max_size=25),
    held=st.sets(st.integers(0, 24)),
    fields=st.lists(st.sampled_from([(), ("print",), ("large@3",)]), min_size=25),
)
def test_any_order_reads_what_is_asked_for(order, held, fields):
    table = UnrulyTable(Path("log.unruly"), {})
    pointers = [pointer for pointer, _ in zip(table.pointers(), range(9))]
    kept = {}
    for step, number in enumerate(order):
        segment = table.read(pointers[number], list(fields[step]))
        assert segment.position == f"episode {number}" and _own(segment) == number
        if step in held:
            kept[step] = segment
    assert all(_own(segment) == order[step] for step, segment in kept.items())


def test_a_crash_is_told_of_the_episode_that_it_was_over(table):
    read, refused = [], []
    for pointer, _ in zip(table.pointers(), range(12)):
        try:
            read.append(_own(table.read(pointer, ["abort@7"])))
        except DamagedRecordingError as error:
            refused.append(str(error))
    assert read == [number for number in range(12) if number != 7]
    assert len(refused) == 1 and "episode 7: reading it crashes" in refused[0]


def test_a_crash_over_what_nobody_wants_any_more_is_nobodys(table):
    pointers = table.pointers()
    for _ in range(7):
        table.read(next(pointers), ["abort@7"])
    # Episode 7 was asked ahead, and is left out.
    next(pointers)
    assert _own(table.read(next(pointers), ["abort@7"])) == 8


def test_who_is_interrupted_reads_on_rightly(table, monkeypatch):
    pointers = [pointer for pointer, _ in zip(table.pointers(), range(12))]
    for pointer in pointers[:3]:
        table.read(pointer, [])
    for where in ("receive", "send"):
        with monkeypatch.context() as patch:
            patch.setattr(Wire, where, _interrupted)
            with pytest.raises(KeyboardInterrupt):
                table.read(pointers[5], [])
        assert [_own(table.read(pointer, [])) for pointer in pointers] == [*range(12)]


def _interrupted(*_):
    raise KeyboardInterrupt


def test_who_is_interrupted_while_the_child_starts_reads_on_rightly(table, monkeypatch):
    pointers = [pointer for pointer, _ in zip(table.pointers(), range(5))]
    reading_process.close()
    with monkeypatch.context() as patch:
        patch.setattr(Wire, "receive", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            table.read(pointers[0], [])
    assert [_own(table.read(pointer, [])) for pointer in pointers] == [*range(5)]


def test_a_listing_thrown_away_in_the_middle_of_a_question_takes_no_answer(
    table, monkeypatch
):
    pointers = [pointer for pointer, _ in zip(table.pointers(), range(9))]
    holder = [table.pointers()]
    next(holder[0])
    # A cycle, which only the garbage collector finds.
    holder.append(holder)
    del holder
    receive = Wire.receive

    def collecting(wire):
        gc.collect()
        return receive(wire)

    monkeypatch.setattr(Wire, "receive", collecting)
    assert [_own(table.read(pointer, [])) for pointer in pointers] == [*range(9)]


def test_an_answer_that_makes_no_sense_ends_the_child(table, monkeypatch):
    table.contents()
    monkeypatch.setattr(guard_process, "_DYING_SECONDS", 0.2)
    monkeypatch.setattr(guard_wire, "_LONGEST_MESSAGE", 10)
    with pytest.raises(DamagedRecordingError, match="its answers make no sense"):
        table.contents()
    assert not reading_process.is_running


def test_an_interrupt_that_reaches_the_child_is_not_charged_to_an_episode(table):
    for pointer, _ in zip(table.pointers(), range(6)):
        os.kill(reading_process._process.pid, signal.SIGINT)
        assert _own(table.read(pointer, [])) == pointer.rows


def test_a_file_that_takes_anothers_place_is_read_anew(episodes, tmp_path):
    h5py = pytest.importorskip("h5py")
    pointers = Hdf5Table(episodes, {}).pointers()
    pointer = next(pointers)
    with h5py.File(tmp_path / "other", "w") as file:
        file["data/demo_0/q"] = np.full((50, 4), 77.0)
    (tmp_path / "other").replace(episodes)
    segment = Hdf5Table(episodes, {}).read(pointer, ["q"])
    assert (segment.streams["q"].values == 77).all()


def test_many_columns_have_room(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "wide.hdf5"
    with h5py.File(path, "w") as file:
        for number in range(400):
            file[f"data/demo_0/f{number}"] = np.full((500, 64), number, np.float64)
    table = Hdf5Table(path, {})
    names = [f"f{number}" for number in range(400)]
    pointer = next(table.pointers())
    for _ in range(3):
        streams = table.read(pointer, names).streams
        assert all((streams[f"f{n}"].values == n).all() for n in (0, 200, 399))


def test_what_is_read_cannot_be_written(table):
    streams = table.read(next(table.pointers()), []).streams
    assert not streams["own"].values.flags.writeable


def test_a_child_that_cannot_be_started_leaves_nothing_open(table, monkeypatch):
    reading_process.close()
    folder = Path("/proc/self/fd")
    before = len(list(folder.iterdir()))
    monkeypatch.setattr(guard_process.subprocess, "Popen", _refused)
    for _ in range(3):
        with pytest.raises(OSError, match="no process"):
            table.contents()
    assert len(list(folder.iterdir())) == before


def _refused(*_, **__):
    raise OSError("no process")


def test_a_listing_goes_on_after_a_crash(table):
    listed = []
    for pointer in table.pointers():
        listed.append(pointer.rows)
        if pointer.rows in (0, 3):
            with pytest.raises(DamagedRecordingError):
                table.read(pointer, ["leave"])
    assert listed == list(range(1200))


def test_large_segments_come_one_at_a_time(table):
    large = []
    for pointer, _ in zip(table.pointers(), range(8)):
        segment = table.read(pointer, ["large@4", "large@5", "large@6"])
        assert _own(segment) == pointer.rows
        wide = segment.streams["wide"].values
        assert (wide.size > 1 << 20) == (pointer.rows in (4, 5, 6))
        assert wide[0, -1] == pointer.rows
        memories = reading_process._wire.memories
        large.append(sum(memory.size > KEPT_BYTES for memory in memories))
        del segment, wide
    # The fourth is read while the third is worked on; after it, none is read ahead.
    assert large[4:] == [1, 1, 1, 0]


def test_a_file_is_open_while_it_is_listed_and_no_longer(episodes):
    table = Hdf5Table(episodes, {})
    table.contents()
    assert str(episodes) not in _files_of_child()
    pointers = table.pointers()
    for number, pointer in enumerate(pointers):
        assert str(episodes) in _files_of_child()
        segment = table.read(pointer, ["q", "row"])
        assert (segment.streams["q"].values == number).all()
        assert segment.streams["row"].values[0] == number
        if number == 20:
            break
    pointers.close()
    assert str(episodes) not in _files_of_child()
    assert len(list(table.pointers())) == 30
    assert str(episodes) not in _files_of_child()


def test_what_a_forked_process_inherits_stays_as_it_is(table):
    pointers = [pointer for pointer, _ in zip(table.pointers(), range(9))]
    segment = table.read(pointers[5], [])
    ours, theirs = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(theirs)
        os.read(ours, 1)
        os._exit(0 if _own(segment) == 5 else 1)
    del segment
    for pointer in pointers:
        table.read(pointer, [])
    os.close(ours)
    os.close(theirs)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
