"""A recorder's clock that is set while it records: never silently another order."""

from __future__ import annotations

import pytest

from thresher.benchmarks.sound_logs import (
    SECOND,
    T0,
    write_json_mcap,
    write_ros1_bag,
    write_ros2_bag,
)
from thresher.pipelines.ingest.assemble import Assembled
from thresher.pipelines.ingest.convert import Conversion, Origin
from thresher.pipelines.ingest.formats import open_recording
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.tests.pipelines.ingest.log_in_memory import Log, converted
from thresher.tests.pipelines.ingest.tiny_logs import write_mapping

MAPPING = """
name: steps
robot: tiny
clock: {stream: %(q)s, timestamp: false%(late)s}
step_seconds: 0.1
features: {observation/q: {from: %(q)s, dtype: float64}}
action: {from: %(a)s, align: first-after}
episodes: {by: whole_file}
"""
# Twenty steps; the clock is set back by a third of a second before the eleventh.
BACK = [0.1 * k - (0.33 if k >= 10 else 0.0) for k in range(20)]


def _rows(times, content):
    return [
        row
        for k, time in enumerate(times)
        for row in (("/q", time, content(k)), ("/a", time + 0.02, content(k)))
    ]


def _numbers(k):
    return [float(k), 0.0]


def _mcap(folder, times):
    rows = _rows(times, lambda k: {"data": float(k)})
    return write_json_mcap(folder / "a.mcap", rows)


def _bag(folder, times):
    return write_ros1_bag(folder / "a.bag", _rows(times, _numbers))


def _database(folder, times):
    return write_ros2_bag(folder / "bag", _rows(times, _numbers))


def _ros2_mcap(folder, times):
    return write_ros2_bag(folder / "bag", _rows(times, _numbers), storage="MCAP")


@pytest.fixture(params=[_mcap, _bag, _database, _ros2_mcap])
def log(request, tmp_path):
    def written(times):
        tmp_path.mkdir(exist_ok=True)
        return request.param(tmp_path, times)

    return written


def _converted(path, late, folder):
    said = f", late: {late}" if late else ""
    text = MAPPING % {"q": "/q.data", "a": "/a.data", "late": said}
    if path.suffix != ".mcap":
        text = text.replace("dtype: float64", "dtype: float64, shape: [2]")
        text = text.replace("align: first", "shape: [2], align: first")
    mapping = load_mapping(write_mapping(folder / "mapping", text))
    conversion = Conversion(
        open_recording(path, {}, ""), mapping, Origin(path.name, "log")
    )
    results = list(conversion.results())
    ledger = conversion.ledger
    assert ledger.read == ledger.used + sum(ledger.dropped.values())
    return results, ledger


def _steps(result):
    values = result.episode.array("observation/q")
    return (values if values.ndim == 1 else values[:, 0]).tolist()


def test_where_late_values_may_be_sorted_that_is_told(log, tmp_path):
    (result,), ledger = _converted(log(BACK), "sort", tmp_path)
    assert sorted(_steps(result)) == [float(k) for k in range(20)]
    assert [note for note in ledger.notes if "clock ran backwards" in note]


@pytest.mark.parametrize("late", ["", "reject"])
def test_an_episode_in_which_the_clock_was_set_back_is_set_aside(log, late, tmp_path):
    (result,), ledger = _converted(log(BACK), late, tmp_path)
    assert "runs backwards in the log" in result.reasons[0]
    assert "late: sort" in result.reasons[0]
    assert [note for note in ledger.notes if "clock ran backwards" in note]


def test_where_late_values_are_dropped_the_rest_is_in_the_log_s_order(log, tmp_path):
    (result,), ledger = _converted(log(BACK), "drop", tmp_path)
    steps = _steps(result)
    assert steps == sorted(steps)
    assert len(steps) < 20
    assert any("further on in the log" in reason for reason in ledger.dropped)


def test_a_clock_that_runs_on_is_nothing_to_tell(log, tmp_path):
    (result,), ledger = _converted(log([0.1 * k for k in range(20)]), "", tmp_path)
    assert _steps(result) == [float(k) for k in range(20)]
    assert not ledger.notes


def test_an_episode_in_which_the_clock_was_first_set_is_set_aside(tmp_path):
    unset = -T0 / SECOND
    times = [unset + k if k < 5 else float(k) for k in range(10)]
    rows = [("/m", unset - 0.5, 1), *_rows(times, float), ("/m", 10.0, 0)]
    rows += [("/m", 20.0, 1), *_rows([21.0, 22.0, 23.0], float), ("/m", 24.0, 0)]
    text = MAPPING % {"q": "/q", "a": "/a", "late": ""}
    text = text.replace("by: whole_file", "by: value, field: /m, start: 1")
    (first, second), _ = converted(tmp_path, Log(rows), text)
    assert "jumps by more than a year" in first.reasons[0]
    assert isinstance(second, Assembled)
    assert second.episode.num_steps == 3
