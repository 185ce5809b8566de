"""Semicolons are recognised; decimal commas are read where they are said."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.pipelines.ingest.delimited import DelimitedReader
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.suggest import suggest

_COMMA = {"decimal": "comma"}


def _written(folder, text, name="x.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _column(path, field, **options):
    reader = DelimitedReader(path, options)
    (pointer,) = reader.pointers()
    return reader.read(pointer, [field]).streams[field]


@pytest.mark.parametrize(
    ("header", "name", "columns"),
    [
        ("a;b;c", "x.csv", ["a", "b", "c"]),
        ("a|b", "x.txt", ["a", "b"]),
        ("a\tb", "x.csv", ["a", "b"]),
        ("a,b", "x.tsv", ["a", "b"]),
        ("a,b;c,d", "x.csv", ["a", "b;c", "d"]),
        ('"a,1";b', "x.csv", ["a,1", "b"]),
        ("alone", "x.csv", ["alone"]),
    ],
)
def test_what_divides_a_header_divides_the_rows(tmp_path, header, name, columns):
    found = DelimitedReader(_written(tmp_path, f"{header}\n", name), {}).contents()
    assert [field.name for field in found.fields] == columns
    is_usual = (name == "x.csv") and "," in header.replace('"a,1"', "")
    assert bool(found.notes) == (not is_usual and header != "alone")


def test_a_delimiter_that_is_said_is_not_guessed(tmp_path):
    reader = DelimitedReader(_written(tmp_path, "a;b\n1;2\n"), {"delimiter": "comma"})
    assert [field.name for field in reader.contents().fields] == ["a;b"]


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30),
    whole=st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=30),
)
def test_numbers_with_commas_come_back(tmp_path_factory, numbers, whole):
    rows = [f"{x!r};{n}".replace(".", ",") for x, n in zip(numbers, whole)]
    text = "x;n\n" + "\n".join(rows) + "\n"
    path = _written(tmp_path_factory.mktemp("csv"), text)
    count = len(rows)
    assert _column(path, "x", **_COMMA).values.tolist() == numbers[:count]
    assert _column(path, "n", **_COMMA).values.tolist() == whole[:count]


def test_a_clock_with_commas_is_read_to_the_last_digit(tmp_path):
    path = _written(tmp_path, "t;x\n1700000000,123456789;0,5\n1700000001;1\n")
    stream = _column(path, "x", clock="t", **_COMMA)
    assert stream.times_ns.tolist() == [1700000000123456789, 1700000001000000000]
    assert stream.values.tolist() == [0.5, 1.0]


def test_a_point_among_commas_is_refused_as_it_is_written(tmp_path):
    # Behind the rows that say what a column holds.
    path = _written(tmp_path, "x;y\n" + "0,5;1\n" * 2500 + "1.234,5;2\n")
    with pytest.raises(DamagedRecordingError, match=r"line 2502.*x is '1\.234,5'"):
        _column(path, "x", **_COMMA)


def test_who_looks_is_told_of_semicolons_and_commas(tmp_path):
    path = _written(tmp_path, "x;word;n\n0,5;a,b;1\n1;c;2\n")
    notes = DelimitedReader(path, {}).contents().notes
    assert list(notes) == [
        "its header says delimiter=semicolon",
        "'x' holds texts, or numbers with --option decimal=comma",
    ]
    assert "# Note: 'x' holds texts" in suggest(path)
    text = suggest(path, _COMMA)
    assert "from: x" in text and 'options": {"decimal": "comma"}' in text
