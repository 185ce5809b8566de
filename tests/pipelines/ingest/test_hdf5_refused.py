"""What HDF5 files hold, point at or declare that is refused, before memory is taken."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.pipelines.ingest import table_rules
from thresher.pipelines.ingest.hdf5 import Hdf5Table
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.tests.pipelines.ingest.tables import all_fields, assert_equal

h5py = pytest.importorskip("h5py")


def test_links_must_stay_in_the_file(tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.arange(3.0)
    path = tmp_path / "links.hdf5"
    with h5py.File(path, "w") as file:
        demo = file.create_group("data/demo_0")
        demo["q"] = np.arange(3.0)
        demo["inside"] = h5py.SoftLink("/data/demo_0/q")
        demo["outside"] = h5py.ExternalLink(str(other), "/secret")
        demo["way_round"] = h5py.SoftLink("/data/demo_0/outside")
        demo["dangling"] = h5py.SoftLink("/nowhere")
        demo["circle"] = h5py.SoftLink("/data/demo_0/circle")
        demo["itself"] = demo
        layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
        layout[:] = h5py.VirtualSource(str(other), "secret", shape=(3,))
        demo.create_virtual_dataset("virtual", layout)
    table = Hdf5Table(path, {})
    assert sorted(all_fields(table)) == ["inside", "q"]
    pointer = next(table.pointers())
    assert_equal(table.read(pointer, ["inside"]), "inside", [0, 1, 2])
    for name, reason in {
        "outside": "external link",
        "way_round": "external link",
        "dangling": "not there",
        "circle": "circle",
        "itself": "a group that it is in",
        "virtual": "other files",
    }.items():
        with pytest.raises(
            DamagedRecordingError, match=f"{name} is not read.*{reason}"
        ):
            table.read(pointer, [name])


def test_a_virtual_dataset_is_as_whole_as_its_sources(tmp_path):
    """Found by review: what was never written came as what was in memory before."""
    path = tmp_path / "virtual.hdf5"
    with h5py.File(path, "w", libver="latest") as file:
        file["whole"] = np.arange(6.0)
        never = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        never.set_chunk((3,))
        never.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((6,))
        h5py.h5d.create(file.id, b"torn", h5py.h5t.IEEE_F64LE, space, never)
        for name, source, rows in (
            ("sound", "whole", 6),
            ("unwritten", "torn", 6),
            ("short", "whole", 4),
            ("nowhere", "gone", 6),
        ):
            layout = h5py.VirtualLayout(shape=(6,), dtype="f8")
            layout[:rows] = h5py.VirtualSource(".", source, shape=(6,))[:rows]
            group = file.require_group("data/demo_0")
            group.create_virtual_dataset(name, layout)
    table = Hdf5Table(path, {})
    pointer = next(table.pointers())
    assert_equal(table.read(pointer, ["sound"]), "sound", np.arange(6.0))
    for name, reason in {
        "unwritten": "source 'torn': 2 chunks declared, 0 there",
        "short": "6 values declared, 4 have a source",
        "nowhere": "source 'gone' is not there",
    }.items():
        with pytest.raises(DamagedRecordingError, match=reason):
            table.read(pointer, [name])


def test_texts_count_as_long_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(table_rules.Budget.__init__, "__defaults__", (1 << 20,))
    path = tmp_path / "texts.hdf5"
    with h5py.File(path, "w") as file:
        file["data/demo_0/words"] = ["x" * 10_000] * 200
    table = Hdf5Table(path, {"guarded": "false"})
    with pytest.raises(DamagedRecordingError, match="declares 1,9"):
        table.read(next(table.pointers()), ["words"])


def test_objects_and_compounds_are_refused(tmp_path):
    path = tmp_path / "objects.hdf5"
    with h5py.File(path, "w") as file:
        demo = file.create_group("data/demo_0")
        demo["q"] = np.arange(2.0)
        demo["pair"] = np.zeros(2, [("a", "f4"), ("b", "i4")])
        demo["opaque"] = np.array([b"\x80\x04.", b"\x80\x04."], dtype="V3")
        demo["complex"] = np.zeros(2, complex)
    table = Hdf5Table(path, {})
    assert all_fields(table) == ["q"]
    with pytest.raises(DamagedRecordingError, match="pickles are never loaded"):
        table.read(next(table.pointers()), ["opaque"])


def test_shapes_that_nothing_could_hold_are_refused_before_memory(tmp_path):
    path = tmp_path / "bomb.hdf5"
    with h5py.File(path, "w") as file:
        demo = file.create_group("data/demo_0")
        demo.create_dataset("q", (10**7, 10**6), "f8", chunks=(1, 1000))
        demo.create_dataset("rows", (10**15, 0), "f8")
    assert path.stat().st_size < 10_000
    table = Hdf5Table(path, {})
    pointer = next(table.pointers())
    for name in ("q", "rows"):
        with pytest.raises(DamagedRecordingError, match=r"demo_0.*rows|never written"):
            table.read(pointer, [name])


def test_a_bomb_of_zeros_is_refused_before_memory(tmp_path):
    path = tmp_path / "zeros.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "data/demo_0/q", data=np.zeros((60_000, 1000)), compression="gzip"
        )
    table = Hdf5Table(path, {})
    with pytest.raises(DamagedRecordingError, match="declares 480,000,000 bytes"):
        table.read(next(table.pointers()), ["q"])


def test_rows_that_were_declared_and_never_written_are_no_zeros(tmp_path):
    path = tmp_path / "killed.hdf5"
    with h5py.File(path, "w") as file:
        demo = file.create_group("data/demo_0")
        rewards = demo.create_dataset("rewards", (10,), "f4", chunks=(2,))
        rewards[:4] = 1
    table = Hdf5Table(path, {})
    with pytest.raises(
        DamagedRecordingError, match="never written whole: 5 chunks declared, 2 there"
    ):
        table.read(next(table.pointers()), ["rewards"])
