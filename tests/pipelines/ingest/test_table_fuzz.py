"""A small part of `benchmarks/fuzz_tables.py`, run always: readers refuse or read."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from thresher.benchmarks import fuzz_tables
from thresher.benchmarks.damage import mutations
from thresher.benchmarks.fuzz_tables import (
    ALLOWED,
    ROWS,
    cases,
    counted,
    fuzz,
    is_fault,
    outcome,
    page,
    table_class,
)
from thresher.tests.pipelines.ingest.tables import read_all

SAMPLE = 40
# Of what costs next to nothing, and once was found wanting.
MORE = {"hdf5": 150, "csv": 150, "jsonl": 150, "lerobot_info": 150, "tfds_first": 600}
LIBRARIES = {"HDF5": "h5py", "Minari": "minari", "EnvLogger": "envlogger"}


@pytest.fixture(params=ROWS)
def row(request):
    row = ROWS[request.param]
    pytest.importorskip(LIBRARIES.get(row.reader, "numpy"))
    return row


def test_what_is_damaged_is_sound_before(row, tmp_path):
    opened = row.write(tmp_path)
    assert len(list(tmp_path.rglob(row.target))) == 1
    table = table_class(row.table)(opened, row.options)
    segments = read_all(table)
    assert len(segments) == table.contents().episodes
    assert all(segment.streams for segment in segments)


def test_damaged_tables_are_refused_or_read(row, tmp_path):
    name = next(name for name, other in ROWS.items() if other is row)
    for _, (opened, _) in zip(range(MORE.get(name, SAMPLE)), cases(row, tmp_path)):
        assert outcome(row.table, opened, row.options) in ALLOWED


def test_a_row_that_was_counted_is_not_run_again(tmp_path, monkeypatch):
    counts = counted("csv", 5, tmp_path)
    assert sum(counts.values()) == 5
    monkeypatch.setattr(fuzz_tables, "fuzz", None)
    assert counted("csv", 5, tmp_path) == counts


def test_a_library_that_breaks_is_counted_kept_and_met_by_the_guard(
    tmp_path, monkeypatch
):
    said = iter(["read", "crash -6", "hang", "refused"])
    monkeypatch.setattr(fuzz_tables.Runner, "run", lambda self, path: next(said))
    counts = fuzz("jsonl", 4, tmp_path)
    assert counts == {"read": 1, "crash -6": 1, "hang": 1, "refused": 1}
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["jsonl_00001_x.jsonl", "jsonl_00002_x.jsonl"]
    assert not any(is_fault(told) for told in counts)


def test_what_no_guard_meets_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz_tables.Runner, "run", lambda self, path: "crash -11")
    (told,) = fuzz("csv", 1, tmp_path)
    assert told == "crash -11 past the guard"
    assert is_fault(told) and is_fault("KeyError: 'x'")


def test_the_page_groups_rows_by_reader_and_names_what_broke():
    found = {
        "csv": Counter({"read": 1200, "nothing sound": 3}),
        "jsonl": Counter({"refused": 7, "crash -6": 2, "hang": 1}),
    }
    assert page(found).splitlines()[2:] == [
        "| text | CSV | 1,200 | 3 | – | – |",
        "| | JSON lines | – | – | 7 | 2 aborts, 1 endless loop |",
    ]


def test_mutations_are_the_same_for_the_same_seed_and_differ_from_the_file():
    data = bytes(range(256)) * 4
    first = [m for _, m in zip(range(50), mutations(data, np.random.default_rng(5)))]
    again = [m for _, m in zip(range(50), mutations(data, np.random.default_rng(5)))]
    assert first == again
    assert sum(m != data for m in first) >= 45
