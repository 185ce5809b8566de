"""One opening serves a listing and the readings within it, and then lets go."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from thresher.pipelines.ingest import hdf5_open
from thresher.pipelines.ingest.hdf5 import Hdf5Table
from thresher.pipelines.ingest.hdf5_open import OpenHdf5
from thresher.pipelines.ingest.recording import DamagedRecordingError

_PLAIN = {"guarded": "false"}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "demo.hdf5"
    with h5py.File(path, "w") as file:
        for number in range(3):
            demo = file.create_group(f"data/demo_{number}")
            demo["obs/state"] = np.full((4, 2), number, np.float32)
            demo["actions"] = np.zeros((4, 1), np.float32)
    return path


def test_a_listing_and_its_readings_open_the_file_once(path, monkeypatch):
    opened, real = [], hdf5_open.open_hdf5
    monkeypatch.setattr(
        hdf5_open, "open_hdf5", lambda path: opened.append(path) or real(path)
    )
    table = Hdf5Table(path, _PLAIN)
    found = [table.read(p, ["obs/state"]) for p in table.pointers()]
    assert [s.streams["obs/state"].values[0, 0] for s in found] == [0, 1, 2]
    assert opened == [path]


def test_nobody_waits_for_a_reader_that_is_done(path):
    table = Hdf5Table(path, _PLAIN)
    pointers = list(table.pointers())
    table.read(pointers[0], ["actions"])
    with h5py.File(path, "a") as file:
        file["data/demo_0/actions"][...] = 7
    assert table.read(pointers[0], ["actions"]).streams["actions"].values[0, 0] == 7


def test_listings_may_overlap(path):
    table = Hdf5Table(path, _PLAIN)
    first, second = table.pointers(), table.pointers()
    one = next(first)
    assert next(second) == one
    first.close()
    assert len(list(second)) == 2
    assert len(table.read(one, ["actions"]).streams) == 1
    with h5py.File(path, "a"):
        pass


def test_a_broken_episode_leaves_the_listing_going(path):
    with h5py.File(path, "a") as file:
        file["data/demo_1/obs/more"] = np.zeros((9, 1), np.float32)
    table, found = Hdf5Table(path, _PLAIN), []
    for pointer in table.pointers():
        fields = ["obs/state", "obs/more"] if "demo_1" in pointer.position else []
        try:
            found.append(len(table.read(pointer, [*fields, "actions"]).streams))
        except DamagedRecordingError as error:
            found.append(str(error).split(": ")[1])
    assert found[0] == found[2] == 1 and "rows" in found[1]


def test_what_was_found_is_kept_within_bounds(path, monkeypatch):
    monkeypatch.setattr(hdf5_open, "_MOST_DATASETS", 4)
    file = OpenHdf5(path)
    with file.opened():
        first = file.tree("data/demo_0")
        assert file.tree("/data/demo_0") is first
        for number in (1, 2):
            file.tree(f"data/demo_{number}")
        assert file.tree("data/demo_0") is not first
