"""A recording that was split and lacks a file: told, and never spliced over."""

from __future__ import annotations

from pathlib import Path

import pytest

from thresher.benchmarks.sound_logs import write_ros1_bag, write_ros2_bag
from thresher.pipelines.ingest.assemble import Assembled
from thresher.pipelines.ingest.convert import Conversion, Origin
from thresher.pipelines.ingest.formats import open_recording
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.pipelines.ingest.split_files import missing_before
from thresher.tests.pipelines.ingest.tiny_logs import write_mapping

MAPPING = """
name: split
robot: tiny
clock: {stream: /q.data, timestamp: false}
step_seconds: 1
features: {observation/q: {from: /q.data, dtype: float64, shape: [2]}}
action: {from: /a.data, shape: [2], align: first-after}
episodes: {by: value, field: "/on.data[0]", start: 1, stop: 0}
"""


def _episode(begin):
    steps = [
        (topic, begin + 1 + k + late, [float(k), begin])
        for k in range(6)
        for topic, late in (("/q", 0.0), ("/a", 0.1))
    ]
    return [("/on", begin, [1.0]), *steps, ("/on", begin + 8.0, [0.0])]


# Three episodes; the files are cut within the first and within the second.
ROWS = [row for begin in (0.0, 10.0, 20.0) for row in _episode(begin)]
CUTS = [(0, 8), (8, 18), (18, len(ROWS))]


def _ros1(folder, parts):
    folder.mkdir()
    for number, rows in enumerate(parts):
        write_ros1_bag(folder / f"run_{number}.bag", rows)
    return folder, "ros1_split"


def _ros2(folder, parts, storage, suffix):
    folder.mkdir()
    for number, rows in enumerate(parts):
        part = write_ros2_bag(folder.parent / f"part{number}", rows, storage=storage)
        (file,) = part.glob(f"*{suffix}")
        file.rename(folder / f"run_{number}{suffix}")
    return folder, "ros2_bag"


@pytest.fixture(params=["ros1", "db3", "mcap"])
def write(request, tmp_path):
    def written(parts):
        folder = tmp_path / "run"
        if request.param == "ros1":
            return _ros1(folder, parts)
        storage = "SQLITE3" if request.param == "db3" else "MCAP"
        return _ros2(folder, parts, storage, f".{request.param}")

    return written


@pytest.fixture
def split(write):
    return write([ROWS[start:stop] for start, stop in CUTS])


def _converted(path, kind, tmp_path, text=MAPPING):
    mapping = load_mapping(write_mapping(tmp_path / "mapping", text))
    recording = open_recording(path, {}, kind)
    conversion = Conversion(recording, mapping, Origin(path.name, "log"))
    results = list(conversion.results())
    ledger = conversion.ledger
    assert ledger.read == ledger.used + sum(ledger.dropped.values())
    return results, ledger, recording.contents().notes


def test_whole_it_is_one_recording(split, tmp_path):
    results, ledger, notes = _converted(*split, tmp_path)
    assert [r.episode.num_steps for r in results] == [6, 6, 6]
    assert not ledger.notes
    assert not any("missing before" in note for note in notes)


def test_without_a_file_in_the_middle_nothing_is_spliced(split, tmp_path):
    path, kind = split
    (middle,) = path.glob("run_1.*")
    middle.unlink()
    results, ledger, notes = _converted(path, kind, tmp_path)
    refused, whole = results
    assert "run_1 is missing before run_2" in refused.reasons[0]
    assert isinstance(whole, Assembled)
    assert whole.episode.array("observation/q")[:, 1].tolist() == [20.0] * 6
    assert any("run_1 is missing" in note for note in ledger.notes)
    assert any("run_1 is missing" in note for note in notes)


def test_what_is_missing_is_told_though_the_next_file_has_nothing_to_say(
    write, tmp_path
):
    elsewhere = [("/x", 9.0, [1.0])]
    path, kind = write([ROWS[:8], ROWS[8:18], elsewhere, ROWS[18:]])
    (middle,) = path.glob("run_1.*")
    middle.unlink()
    (refused, _), _, _ = _converted(path, kind, tmp_path)
    assert "run_1 is missing before run_2" in refused.reasons[0]


def test_a_clock_that_is_set_back_between_two_files_is_seen(write, tmp_path):
    late = [(topic, seconds - 3.05, value) for topic, seconds, value in ROWS[8:14]]
    text = MAPPING.replace("false}", "false, late: reject}")
    path, kind = write([ROWS[:8], late])
    (refused,), ledger, _ = _converted(path, kind, tmp_path, text)
    assert "runs backwards in the log" in refused.reasons[0]
    assert "clock ran backwards" in ledger.notes[0]


def test_more_than_ten_files_are_in_the_order_of_their_numbers(write, tmp_path):
    height = -(-len(ROWS) // 12)
    path, kind = write([ROWS[n * height : (n + 1) * height] for n in range(12)])
    results, ledger, _ = _converted(path, kind, tmp_path)
    assert [r.episode.num_steps for r in results] == [6, 6, 6]
    assert not ledger.notes
    (cut,) = path.glob("run_1.*")
    cut.unlink()
    (refused, *others), _, _ = _converted(path, kind, tmp_path)
    assert "run_1 is missing before run_2" in refused.reasons[0]
    assert [r.episode.num_steps for r in others] == [6, 6]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("r_0.bag r_1.bag r_2.bag", {}),
        ("r_0.bag r_2.bag r_5.bag", {1: "r_1 is missing", 2: "r_3 to r_4 are missing"}),
        (
            "r_0.bag r_10.bag r_2.bag",
            {2: "r_1 is missing", 1: "r_3 to r_9 are missing"},
        ),
        ("r_2021.bag r_2023.bag", {}),
        ("a_0.bag b_2.bag", {}),
        ("a.bag c.bag", {}),
        ("r_0.db3.zstd r_2.db3.zstd", {1: "r_1 is missing"}),
        ("r_0.bag", {}),
    ],
)
def test_what_is_missing_is_what_the_numbers_say(names, told):
    assert missing_before([Path(name) for name in names.split()]) == told
