"""Faults are kept as they happen, and counted over the whole run."""

from __future__ import annotations

import pytest

from thresher.pipelines.faults import Fault, FaultKind, read_faults, reliability


def test_what_was_appended_is_read_back(tmp_path):
    path = tmp_path / "faults.jsonl"
    assert read_faults(path) == []
    faults = [Fault(FaultKind.HANG, 3, 0, "late"), Fault(FaultKind.CRASH, 4, 1, "-9")]
    for fault in faults:
        fault.append_to(path)
    assert read_faults(path) == faults


def test_the_mean_time_between_failures_is_worker_time_by_failures():
    faults = [Fault(FaultKind.HANG, 3, 0, "x"), Fault(FaultKind.HANG, 9, 0, "x")]
    found = reliability(faults, worker_seconds=4 * 3600)
    assert found["mean_hours_between_failures"] == pytest.approx(2.0)
    assert found["faults"] == {"crash": 0, "hang": 2, "invalid": 0}
    assert found["restarts"] == 2
    assert reliability([], 100.0)["mean_hours_between_failures"] is None
