"""Rows that were parsed ahead are what parsing them alone gives."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.pipelines.ingest import line_blocks, text_rows
from thresher.pipelines.ingest.delimited import DelimitedReader
from thresher.pipelines.ingest.recording import DamagedRecordingError

_OPTIONS = {"episode": "episode", "missing": "skip"}
_CELLS = st.one_of(
    st.integers(-5, 5).map(str),
    st.floats(-9, 9).map(repr),
    st.sampled_from(["", "nan", "yes", '"quoted, cell"', "x,y", "\r", "1e999"]),
)
_ROWS = st.lists(
    st.tuples(st.integers(1, 4), _CELLS, _CELLS), min_size=1, max_size=30
).map(lambda rows: sorted(rows, key=lambda row: row[0]))


def _outcome(reader, pointer):
    try:
        segment = reader.read(pointer, ["a", "b", "episode"])
    except DamagedRecordingError as error:
        return str(error)
    return {
        name: (stream.times_ns.tolist(), str(stream.values.dtype), list(stream.values))
        for name, stream in segment.streams.items()
    }


@settings(max_examples=150, deadline=None)
@given(
    rows=_ROWS,
    plain=st.booleans(),
    last=st.sampled_from(["\n", "\r\n", ""]),
    block=st.integers(8, 300),
)
def test_reading_in_order_is_reading_each_alone(rows, plain, last, block):
    if plain:
        rows = [(episode, k, k + 0.5) for k, (episode, _, _) in enumerate(rows)]
    lines = [f"{episode},{a},{b}" for episode, a, b in rows]
    text = "episode,a,b\n" + "\n".join(lines) + last
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.csv")
        path.write_bytes(text.encode())
        try:
            pointers = list(DelimitedReader(path, _OPTIONS).pointers())
        except DamagedRecordingError:
            return
        alone = [_outcome(DelimitedReader(path, _OPTIONS), p) for p in pointers]
        reader = DelimitedReader(path, _OPTIONS)
        assert repr([_outcome(reader, p) for p in pointers]) == repr(alone)
        reader = DelimitedReader(path, _OPTIONS)
        with pytest.MonkeyPatch.context() as patch:
            # What columns hold was judged by a block of the usual size.
            patch.setattr(line_blocks, "BLOCK_BYTES", block)
            between = [_outcome(reader, p) for p in reader.pointers()]
        assert repr(between) == repr(alone)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "x.csv"
    rows = [f"{number // 100},{number},{number / 7:.6f}" for number in range(20_000)]
    path.write_text("episode,a,b\n" + "\n".join(rows) + "\n")
    return path


def test_a_file_in_parts_is_the_same_file(table, monkeypatch):
    reader = DelimitedReader(table, _OPTIONS)
    whole = [_outcome(reader, pointer) for pointer in reader.pointers()]
    monkeypatch.setattr(text_rows, "_PART_BYTES", 4096)
    reader = DelimitedReader(table, _OPTIONS)
    assert [_outcome(reader, pointer) for pointer in reader.pointers()] == whole
    assert len(whole) == 200 and whole[7]["a"][2][0] == 700


def test_most_rows_are_parsed_ahead(table, monkeypatch):
    parsed, real = [], text_rows._parsed

    def counted(path, block, *rest):
        parsed.append(len(block.data))
        return real(path, block, *rest)

    reader = DelimitedReader(table, _OPTIONS)
    pointers = list(reader.pointers())
    monkeypatch.setattr(text_rows, "_parsed", counted)
    for pointer in pointers:
        reader.read(pointer, ["a", "b"])
    # The first alone; from the second on it is known that one follows the other.
    assert len(parsed) == 2


def test_who_reads_while_listing_parses_the_file_once(table, monkeypatch):
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 32_000)
    reader = DelimitedReader(table, _OPTIONS)
    parsed, real = [], text_rows._parsed

    def counted(path, block, *rest):
        parsed.append(len(block.data))
        return real(path, block, *rest)

    monkeypatch.setattr(text_rows, "_parsed", counted)
    for pointer in reader.pointers():
        reader.read(pointer, ["a", "b"])
    # But for the first block, of which it was not known what is wanted of it.
    assert sum(parsed) < table.stat().st_size + 2 * 32_000
    assert len(parsed) > 10


def test_a_block_that_cannot_be_parsed_at_once_is_tried_once(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    rows = [f"{number // 100},{number},0" for number in range(20_000)]
    path.write_text("episode,a,b\n" + "\n".join(rows) + "\n199,oops,1\n")
    reader = DelimitedReader(path, {"episode": "episode"})
    parsed, real = [], text_rows._parsed

    def counted(path, block, *rest):
        parsed.append(len(block.data))
        return real(path, block, *rest)

    pointers = list(reader.pointers())
    monkeypatch.setattr(text_rows, "_parsed", counted)
    for pointer in pointers[:-1]:
        reader.read(pointer, ["a", "b"])
    assert sum(size > 100_000 for size in parsed) == 1
    with pytest.raises(DamagedRecordingError, match="line 20002: a is 'oops'"):
        reader.read(pointers[-1], ["a"])


def test_a_ragged_line_is_told_with_its_number_in_a_large_file(tmp_path, monkeypatch):
    monkeypatch.setattr(text_rows, "_PART_BYTES", 64)
    path = tmp_path / "x.csv"
    rows = [f"0,{number}" for number in range(500)]
    rows[321] = "0,1,2"
    path.write_text("episode,a\n" + "\n".join(rows) + "\n")
    reader = DelimitedReader(path, {"episode": "episode"})
    [pointer] = reader.pointers()
    with pytest.raises(DamagedRecordingError, match="line 323: 3 cells"):
        reader.read(pointer, ["a"])


def test_values_do_not_hold_the_rows_beside_them(table):
    reader = DelimitedReader(table, _OPTIONS)
    pointers = list(reader.pointers())
    values = [reader.read(p, ["a"]).streams["a"].values for p in pointers[:3]][2]
    assert values.base is None and isinstance(values, np.ndarray)


def test_a_broken_line_costs_the_episodes_beside_it(table, monkeypatch):
    lines = table.read_text().splitlines(keepends=True)
    lines[15_000] = "150,1,2,3\n"
    table.write_text("".join(lines))
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 20_000)
    reader = DelimitedReader(table, _OPTIONS)
    found = [_outcome(reader, pointer) for pointer in reader.pointers()]
    # It stands in the place of the last row of episode 149.
    for told in (found.pop(149), found.pop(149)):
        assert "line 15001: 4 cells" in told
    read = [outcome["episode"][2][0] for outcome in found]
    assert read == [*range(149), *range(151, len(found) + 2)]
