"""Text tables are read line by line, and every complaint has its line."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest import line_blocks
from thresher.pipelines.ingest.delimited import DelimitedReader, DelimitedTable
from thresher.pipelines.ingest.guard_process import reading_process
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.tests.pipelines.ingest.tables import (
    assert_equal,
    read_all,
    sample,
    values,
)
from thresher.tests.pipelines.ingest.test_video import grey, write_video

TABLE = """ep,t,x,n,word,ok
a,0.0,1.5,3,push,true
a,0.1,2.5,4,"to, it",false
b,0.0,-3.5,5,,true
b,0.1,4.5e2,6,é,true
b,0.2,4,7,z,false
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="log.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def _read(path, fields, number=0, **options):
    reader = DelimitedReader(path, options)
    return reader.read(list(reader.pointers())[number], fields)


def test_a_column_cuts_rows_into_episodes(write):
    table = DelimitedTable(write(TABLE), {"episode": "ep", "clock": "t"})
    cut, end = TABLE.encode().index(b"b,0.0"), len(TABLE.encode())
    assert [p.position for p in table.pointers()] == [
        f"lines 2-3, bytes 17-{cut}",
        f"lines 4-6, bytes {cut}-{end}",
    ]
    first, second = read_all(table)
    assert_equal(first, "x", [1.5, 2.5])
    assert_equal(second, "x", [-3.5, 450, 4])
    assert values(second, "n").dtype == np.int64
    assert_equal(second, "ok", [True, True, False])
    assert_equal(first, "word", ["push", "to, it"])
    assert first.streams["x"].times_ns.tolist() == [0, 100_000_000]
    assert [s.attributes["episode"] for s in (first, second)] == ["a", "b"]
    assert table.contents().episodes == 2


def test_without_a_column_all_rows_are_one_segment(write):
    (segment,) = read_all(DelimitedTable(write(TABLE), {}))
    assert_equal(segment, "n", [3, 4, 5, 6, 7])
    assert segment.streams["n"].times_ns.tolist() == [k * 10**9 for k in range(5)]


@pytest.mark.parametrize(
    "text",
    [TABLE.replace("\n", "\r\n"), TABLE.rstrip("\n"), TABLE + "\n\n", TABLE + "\r\n"],
)
def test_line_ends_may_be_other_or_missing(write, text):
    segments = read_all(DelimitedTable(write(text), {"episode": "ep"}))
    assert_equal(segments[1], "ok", [True, True, False])


def test_other_delimiters_are_read(write):
    path = write(TABLE.replace('"to, it"', "to").replace(",", ";"), "log.txt")
    assert_equal(
        _read(path, ["x"], delimiter="semicolon", episode="ep"), "x", [1.5, 2.5]
    )
    path = write(TABLE.replace(",", "\t"), "log.tsv")
    assert_equal(_read(path, ["n"], episode="ep"), "n", [3, 4])
    with pytest.raises(UserError, match="delimiter 'dot'"):
        _read(path, ["n"], delimiter="dot")


def test_a_byte_order_mark_is_no_part_of_the_first_name(write):
    path = write(b"\xef\xbb\xbf" + TABLE.encode())
    assert_equal(_read(path, ["ep"]), "ep", list("aabbb"))


def test_seconds_are_read_to_the_nanosecond(write):
    path = write("t,x\n1396293888.886,1\n1396293888.886000001,2\n-0.5,3\n")
    times = _read(path, ["x"], clock="t").streams["x"].times_ns
    assert times.tolist() == [1396293888886000000, 1396293888886000001, -500000000]


@pytest.mark.parametrize(
    ("unit", "cells", "wanted"),
    [
        ("s", ["1e-3", "2.5"], [10**6, 25 * 10**8]),
        ("ms", ["1", "2"], [10**6, 2 * 10**6]),
        ("ns", ["1396293888886000001", "5"], [1396293888886000001, 5]),
    ],
)
def test_clocks_have_units(write, unit, cells, wanted):
    path = write("t,x\n" + "".join(f"{cell},1\n" for cell in cells))
    found = _read(path, ["x"], clock="t", clock_unit=unit).streams["x"].times_ns
    assert found.tolist() == wanted


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "null"])
def test_a_missing_number_is_named_with_its_line(write, cell):
    path = write(f"t,x\n0,1\n1,{cell}\n2,3\n")
    told = r"log\.csv, line 3: x is empty or NaN.*missing: skip"
    with pytest.raises(DamagedRecordingError, match=told):
        _read(path, ["x"])
    stream = _read(path, ["x"], missing="skip", clock="t").streams["x"]
    assert stream.values.tolist() == [1, 3]
    assert stream.times_ns.tolist() == [0, 2 * 10**9]


@pytest.mark.parametrize("cell", ["one", "1.2.3", "1_000", "0x10"])
def test_what_is_no_number_is_named_with_its_line(write, cell):
    path = write(f"t,x\n0,1\n1,2\n2,{cell}\n" if cell != "one" else "t,x\n0,1\n1,2\n")
    if cell == "one":
        rows = "".join(f"{k},{k}\n" for k in range(3000))
        path = write(f"t,x\n{rows}3000,one\n")
        with pytest.raises(DamagedRecordingError, match="line 3002: x is 'one'"):
            _read(path, ["x"])
        return
    # A column that holds a text at the start is one of texts, as it is written.
    assert_equal(_read(path, ["x"]), "x", ["1", "2", cell])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1", "1 cells where the header has 2"),
        ("1,2,3", "3 cells where the header has 2"),
        ("", "it is blank"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_ragged_row_is_named_with_its_line(write, row, reason, end):
    path = write(f"t,x\n0,1\n{row}\n2,3\n".replace("\n", end))
    with pytest.raises(DamagedRecordingError, match=f"line 3: {reason}"):
        read_all(DelimitedTable(path, {}))


def test_a_line_break_in_a_cell_is_refused(write):
    path = write('t,x\n0,"a\nb"\n2,c\n')
    with pytest.raises(DamagedRecordingError, match="line"):
        _read(path, ["x"])


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("t,t", "'t' is there twice"),
        ("t,", "a column has no name"),
        # Told at once, not after comparing each with all others.
        ("t," * 500_000 + "t", "500,001 columns; 20,000 are the most"),
    ],
)
def test_a_header_that_cannot_be_is_told(write, header, reason):
    with pytest.raises(DamagedRecordingError, match=f"line 1: .*{reason}"):
        DelimitedTable(write(f"{header}\n1,2\n"), {})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "line 1: the file has 0 bytes"),
        (b"\xff\xfet\x00\n\x00", "line 1: it is UTF-16"),
        (b"t,x\n1,\xff\n", "line 2: byte 0xff is no UTF-8"),
        (b"t,x\n1,2\n\x00\n", "line 3: byte 0x00 is no UTF-8"),
    ],
)
def test_what_is_no_text_is_told_with_its_line(write, content, reason):
    with pytest.raises(DamagedRecordingError, match=reason):
        list(DelimitedTable(write(content), {}).pointers())


def test_a_line_without_an_end_does_not_fill_memory(write, monkeypatch):
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 64)
    monkeypatch.setattr(line_blocks, "_LONGEST_LINE", 256)
    path = write(b"t,x\n" + b"1" * 5000)
    with pytest.raises(DamagedRecordingError, match="no line ends within"):
        list(DelimitedReader(path, {}).pointers())


def test_only_what_decodes_videos_has_a_process_of_its_own(write):
    path = write(TABLE)
    reading_process.close()
    assert DelimitedTable(path, {}).contents().fields
    assert not reading_process.is_running
    assert DelimitedTable(path, {"guarded": "true"}).contents().fields
    assert reading_process.is_running
    assert DelimitedTable.wants_guard(path, {"frames": "video:frame"})


def test_json_lines_are_parsed_where_memory_is_limited(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"x": 1}\n')
    assert DelimitedTable.wants_guard(path, {})


def test_threads_may_share_a_table(write):
    rows = [f"{k // 20},{k},{k % 20}" for k in range(6000)]
    table = DelimitedTable(write("\n".join(["e,a,b", *rows, ""])), {"episode": "e"})
    pointers = list(table.pointers())

    def read(field):
        return [
            table.read(pointer, [field]).streams[field].values.tolist()
            for pointer in pointers
        ]

    with ThreadPoolExecutor(4) as pool:
        for field, found in zip("abab", pool.map(read, "abab")):
            for number, values in enumerate(found):
                first = 20 * number if field == "a" else 0
                assert values == [*range(first, first + 20)]


def test_columns_that_are_missing_are_told(write):
    path = write(TABLE)
    with pytest.raises(UserError, match="field of log.csv 'y'"):
        _read(path, ["y"])
    for option in ("episode", "clock"):
        with pytest.raises(UserError, match=r"field of log.csv 'eps'.*'ep'"):
            DelimitedTable(path, {option: "eps"})
    with pytest.raises(UserError, match=r"option of delimited 'epsiode'.*'episode'"):
        DelimitedTable(path, {"epsiode": "ep"})


def test_an_episode_in_two_places_is_refused_and_the_others_are_read(write):
    reader = DelimitedReader(write("ep,x\na,1\nb,2\na,3\n"), {"episode": "ep"})
    first, second, again = reader.pointers()
    assert_equal(reader.read(first, ["x"]), "x", [1])
    assert_equal(reader.read(second, ["x"]), "x", [2])
    with pytest.raises(DamagedRecordingError, match=r"in two places.*sort the file"):
        reader.read(again, ["x"])


def test_blocks_do_not_change_what_is_read(write, monkeypatch):
    rows = "".join(f"{k // 7},{k},{k / 3!r}\n" for k in range(400))
    path = write(f"ep,k,x\n{rows}")
    whole = read_all(DelimitedReader(path, {"episode": "ep"}))
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 50)
    parts = read_all(DelimitedReader(path, {"episode": "ep"}))
    assert len(whole) == len(parts) == 58
    for one, other in zip(whole, parts):
        assert one.position == other.position
        assert_equal(one, "x", values(other, "x"))


def test_json_lines_are_read_with_nested_names_and_lists(write):
    rows = [
        {"ep": 1, "t": 0.25 * k, "obs": {"q": [k, 2.5], "s": "go"}, "done": k == 2}
        for k in range(3)
    ]
    path = write("".join(json.dumps(row) + "\n" for row in rows), "log.jsonl")
    table = DelimitedTable(path, {"episode": "ep", "clock": "t"})
    (segment,) = read_all(table)
    assert_equal(segment, "obs/q", [[k, 2.5] for k in range(3)])
    assert_equal(segment, "obs/s", ["go"] * 3)
    assert_equal(segment, "done", [False, False, True])
    assert segment.streams["done"].times_ns.tolist() == [0, 25 * 10**7, 5 * 10**8]
    assert segment.attributes == {"episode": "1"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2"),
        ("[1]", "line 2: a JSON list where a row is an object"),
        ('{"x": [1, 2]}', r"line 2: x is '\[1, 2\]', unlike the rows before"),
        ('{"x": "a"}', "line 2: x is 'a', unlike the rows before"),
        ('{"y": 1}', "line 2: x is None: there is no value"),
        ('{"x": NaN}', "line 2: x is nan: there is no value"),
        ('{"x": [1, [2]]}', r"line 2: x is '\[1, \[2\]\]', unlike"),
    ],
)
def test_a_broken_json_line_is_named(write, line, reason):
    path = write(f'{{"x": 1}}\n{line}\n{{"x": 3}}\n', "log.jsonl")
    with pytest.raises(DamagedRecordingError, match=reason):
        _read(path, ["x"])


def _picture(level):
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), level, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_cells_that_name_pictures_give_them_as_they_are(write, tmp_path):
    (tmp_path / "cam").mkdir()
    frames = tuple(_picture(level) for level in (10, 20))
    for number, frame in enumerate(frames):
        (tmp_path / "cam" / f"{number}.png").write_bytes(frame)
    path = write("x,cam\n1,cam/0.png\n2,cam/1.png\n")
    table = DelimitedTable(path, {})
    (field,) = [f for f in table.contents().fields if f.name == "cam"]
    assert field.is_image
    (segment,) = read_all(table)
    assert segment.streams["cam"].values.frames == frames
    moved = write("x,cam\n1,0.png\n", "other.csv")
    assert len(_read(moved, ["cam"], root="cam").streams["cam"].values) == 1


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("gone.png", "'gone.png' is missing"),
        ("../x.png", "leaves the folder"),
        ("/etc/x.png", "leaves the folder"),
        ("empty.png", "no PNG or JPEG file: .* 0 bytes"),
        ("text.png", "no PNG or JPEG file"),
    ],
)
def test_cells_that_name_no_picture_are_named_with_their_line(
    write, tmp_path, cell, reason
):
    (tmp_path / "ok.png").write_bytes(_picture(1))
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_bytes(b"text")
    path = write(f"x,cam\n1,ok.png\n2,{cell}\n")
    with pytest.raises(DamagedRecordingError, match=f"line 3: .*{reason}"):
        _read(path, ["cam"])
    assert_equal(_read(path, ["x"]), "x", [1, 2])


def test_cells_that_name_frames_of_videos_give_them(write, tmp_path):
    pytest.importorskip("av")
    write_video(tmp_path / "a.mp4", range(6))
    write_video(tmp_path / "b.mp4", range(10, 16))
    path = write("cam,frame\na.mp4,1\na.mp4,4\nb.mp4,0\n")
    (segment,) = read_all(DelimitedTable(path, {"frames": "cam:frame"}))
    levels = values(segment, "cam").mean(axis=(1, 2, 3))
    np.testing.assert_allclose(levels, [grey(1), grey(4), grey(10)], atol=2)
    bad = write("cam,frame\na.mp4,1\na.mp4,9\n", "bad.csv")
    with pytest.raises(DamagedRecordingError, match="wants frame 9"):
        _read(bad, ["cam"], frames="cam:frame")
    with pytest.raises(UserError, match="VIDEO_COLUMN:FRAME_COLUMN"):
        DelimitedTable(path, {"frames": "cam"})


def test_the_real_turtle_table_is_read_as_streams_at_different_times():
    path = sample("plotjuggler/datasamples/turtle.csv")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    name = "/turtle2/cmd_vel/linear/x"
    wanted = [(row["__time"], float(row[name])) for row in rows if row[name]]
    table = DelimitedTable(path, {"clock": "__time", "missing": "skip"})
    stream = table.read(next(table.pointers()), [name]).streams[name]
    assert stream.values.tolist() == [value for _, value in wanted]
    times = [int(t.replace(".", "")) * 10**6 for t, _ in wanted]
    assert stream.times_ns.tolist() == times
    with pytest.raises(DamagedRecordingError, match="line 2: /turtle1"):
        _read(path, ["/turtle1/cmd_vel/linear/x"])


_CELLS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\x00"),
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.floats(allow_nan=False, allow_infinity=False),
            st.integers(-(2**63), 2**63 - 1),
            _CELLS,
        ),
        min_size=1,
        max_size=30,
    )
)
def test_what_a_csv_writer_wrote_comes_back(tmp_path_factory, rows):
    rows = sorted(rows, key=lambda row: row[0])
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ep", "f", "i", "s"])
        # Letters keep what looks like a number or names a file ('.PNG') a text.
        writer.writerows([(e, repr(f), i, f"w{s}x") for e, f, i, s in rows])
    reader = DelimitedReader(path, {"episode": "ep"})
    segments = [reader.read(p, ["f", "i", "s"]) for p in reader.pointers()]
    assert len(segments) == len({row[0] for row in rows})
    merged = {
        name: [x for s in segments for x in values(s, name).tolist()]
        for name in ("f", "i", "s")
    }
    assert merged["f"] == [row[1] for row in rows]
    assert merged["i"] == [row[2] for row in rows]
    assert merged["s"] == [f"w{row[3]}x" for row in rows]


def test_a_last_line_that_was_cut_off_costs_its_own_episode_only(write):
    whole = "episode,x\n" + "".join(f"{k // 10},{k}.5\n" for k in range(100))
    table = DelimitedTable(write(whole + "10,1"), {"episode": "episode"})
    pointers = list(table.pointers())
    assert len(pointers) == 11
    assert [f.type for f in table.contents().fields] == ["number", "number"]
    # What the columns hold is judged by whole lines.
    table = DelimitedTable(write(whole + "10,tr"), {"episode": "episode"})
    pointers = list(table.pointers())
    assert table.read(pointers[9], ["x"]).streams["x"].values[-1] == 99.5
    with pytest.raises(DamagedRecordingError, match="line 102: x is 'tr'"):
        table.read(pointers[10], ["x"])
    # A cell is missing, and everything before it is listed.
    table = DelimitedTable(write(whole + "10"), {"episode": "episode"})
    listing = table.pointers()
    found = [next(listing).rows for _ in range(9)]
    assert found == [10] * 9
    with pytest.raises(DamagedRecordingError, match="line 102: 1 cells"):
        list(listing)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("whole_first.csv", "a\n9007199254740993\n1.0\n3\n"),
        ("empty_cells.csv", "a,b\n1.0,x\n,x\n9007199254740993,x\n3,x\n"),
        ("rows.jsonl", '{"a": 9007199254740993}\n{"a": 1.0}\n{"a": 3}\n'),
    ],
)
def test_a_whole_number_among_decimals_is_read_by_its_digits(write, name, text):
    segment = _read(write(text, name), ["a"], missing="skip")
    assert sorted(segment.streams["a"].values.tolist()) == [1, 3, 2**53 + 1]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('{"x": 1, "x": 2}', "line 2: the key 'x' is written twice; mend the line"),
        ('{"x": 1, "b/c": 1, "b": {"c": 2}}', "line 2: two values have the path 'b/c'"),
    ],
)
def test_a_json_line_that_says_two_things_is_refused(write, line, rule):
    path = write('{"x": 1}\n' + line + "\n", "x.jsonl")
    with pytest.raises(DamagedRecordingError, match=rule):
        _read(path, ["x"])
