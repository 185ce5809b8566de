"""Readers tell how far they are: what is left to read is nothing at the end."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from thresher.benchmarks.sound_logs import (
    arm_rows,
    write_json_mcap,
    write_ros1_bag,
    write_ros2_bag,
)
from thresher.pipelines.ingest.formats import open_recording
from thresher.pipelines.ingest.sources import size_of
from thresher.tests.pipelines.ingest.tables import DATA, all_fields

_MANY = 2000
_NUMBERS = [("/joints", k / 100, [float(k)] * 7) for k in range(_MANY)]


def _json_mcap(folder):
    return write_json_mcap(folder / "a.mcap", arm_rows(_MANY))


def _ros1_bag(folder):
    return write_ros1_bag(folder / "a.bag", _NUMBERS)


def _ros2_bag(folder):
    return write_ros2_bag(folder / "bag", _NUMBERS)


@pytest.mark.parametrize("make", [_json_mcap, _ros1_bag, _ros2_bag])
def test_logs_have_read_about_all_of_their_bytes_at_the_end(tmp_path, make):
    path = make(tmp_path)
    log = open_recording(path, {}, "")
    reached = [log.bytes_read for _ in log.messages([log.topics()[0]])]
    assert reached == sorted(reached)
    assert reached[0] < reached[-1]
    # The rest are heads and indexes; of a database, other topics' messages.
    assert 0.3 * size_of(path) < reached[-1] <= size_of(path)


def test_a_second_reading_begins_at_nothing(tmp_path):
    log = open_recording(_json_mcap(tmp_path), {}, "")
    once = [log.bytes_read for _ in log.messages([log.topics()[0]])]
    again = [log.bytes_read for _ in log.messages([log.topics()[0]])]
    assert again == once


def _hdf5(folder):
    with h5py.File(folder / "a.hdf5", "w") as file:
        for number in range(3):
            demo = file.create_group(f"data/demo_{number}")
            demo["actions"] = np.ones((300, 20))
    return folder / "a.hdf5"


def _d4rl(folder):
    with h5py.File(folder / "a.hdf5", "w") as file:
        file["actions"] = file["observations"] = np.ones((900, 20))
        file["terminals"] = np.arange(900) % 300 == 299
    return folder / "a.hdf5"


def _csv(folder):
    rows = "".join(f"{k // 300},{k},{k / 7}\n" for k in range(900))
    (folder / "a.csv").write_text("episode,t,x\n" + rows)
    return folder / "a.csv"


def _lerobot(folder):
    return DATA / "lerobot_v3_image"


@pytest.mark.parametrize(
    ("make", "options"),
    [(_hdf5, {}), (_d4rl, {}), (_csv, {"episode": "episode"}), (_lerobot, {})],
)
def test_episodes_of_tables_add_up_to_their_bytes(tmp_path, make, options):
    path = make(tmp_path)
    table = open_recording(path, options, "")
    assert all_fields(table)
    sizes = [pointer.size_bytes for pointer in table.pointers()]
    assert min(sizes) > 0
    assert 0.5 * size_of(path) < sum(sizes) <= size_of(path)
