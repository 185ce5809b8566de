"""A broken line costs the episodes beside it, and no other is lost or changed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from thresher.pipelines.ingest import line_blocks, text_listing
from thresher.pipelines.ingest.delimited import DelimitedReader, DelimitedTable
from thresher.pipelines.ingest.recording import DamagedRecordingError

_OPTIONS = {"episode": "ep", "clock": "t"}
_BROKEN_CSV = [
    b"1,2",
    b"1,0.1,2,3,4,5",
    b"",
    b"\r",
    b"1,0.1,\xff,4",
    b"1,0.1,\0,4",
    b'1,0.1,2,"a',
    b'1,0.1,"2,3',
]
_BROKEN_JSON = [
    b'{"ep": 1, "t": 0.1, "x"',
    b'"ep": 1}',
    b"",
    b"3",
    b'{"ep": "\xff"}',
    b'{"ep": 1, "ep": 2}',
    b"\0",
]


def _lines(lengths, suffix):
    """Returns the rows of episodes 0, 1, …, of these lengths."""
    found = []
    for episode, length in enumerate(lengths):
        for k in range(length):
            row = {"ep": episode, "t": k / 10, "x": len(found), "w": f"w {k}"}
            if suffix == ".jsonl":
                found.append((episode, json.dumps(row).encode()))
            else:
                text = f'{episode},{k / 10},{len(found)},"w {k}"'
                found.append((episode, text.encode()))
    return found


def _write(path, lines):
    head = [] if path.suffix == ".jsonl" else [b"ep,t,x,w"]
    path.write_bytes(b"\n".join([*head, *lines]) + b"\n")
    return path


def _outcome(path, reader=DelimitedReader):
    """Returns what each episode holds, which are refused, and the damage."""
    table, read, refused, damage = reader(path, _OPTIONS), {}, [], ""
    listing = table.pointers()
    while True:
        try:
            pointer = next(listing, None)
        except DamagedRecordingError as error:
            damage = str(error)
            break
        if pointer is None:
            break
        try:
            segment = table.read(pointer, ["x", "w"])
        except DamagedRecordingError as error:
            refused.append(str(error))
            continue
        episode = int(segment.attributes["episode"])
        assert episode not in read
        streams = segment.streams
        read[episode] = (
            np.asarray(streams["x"].values, int).tolist(),
            [str(word) for word in streams["w"].values],
            streams["x"].times_ns.tolist(),
        )
    return read, refused, damage


@pytest.fixture
def table(tmp_path):
    def table(suffix, lengths, broken):
        lines = [line for _, line in _lines(lengths, suffix)]
        for place, line in broken.items():
            lines[place] = line
        return _write(tmp_path / f"log{suffix}", lines)

    return table


@pytest.mark.parametrize("reader", [DelimitedReader, DelimitedTable])
@pytest.mark.parametrize(
    ("suffix", "line"),
    [
        *[(".csv", line) for line in _BROKEN_CSV if line.count(b'"') != 1],
        *[(".jsonl", line) for line in _BROKEN_JSON],
    ],
)
def test_a_line_within_an_episode_costs_it_alone(table, reader, suffix, line):
    whole, _, _ = _outcome(table(suffix, [5] * 6, {}))
    read, refused, damage = _outcome(table(suffix, [5] * 6, {17: line}), reader)
    assert read == {k: rows for k, rows in whole.items() if k != 3}
    assert len(refused) == 1
    number = 18 if suffix == ".jsonl" else 19
    assert f"line {number}: " in refused[0]
    assert damage == ""


@pytest.mark.parametrize("place", [15, 14])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_line_between_episodes_may_be_of_either(table, suffix, place):
    read, refused, damage = _outcome(table(suffix, [5] * 6, {place: b"{"}))
    assert sorted(read) == [0, 1, 4, 5]
    assert len(refused) == 2
    assert refused[0].split(", line ")[1] == refused[1].split(", line ")[1]
    assert damage == ""


@pytest.mark.parametrize("line", [b'1,0.1,2,"a', b'1,0.1,"2,3'])
def test_behind_a_quote_that_is_left_open_nothing_is_read(table, line):
    read, refused, damage = _outcome(table(".csv", [5] * 6, {17: line}))
    assert sorted(read) == [0, 1, 2]
    assert refused == []
    assert "line 19: a cell holds a line break, or its quote is not closed" in damage


@pytest.mark.parametrize("block", [20, 1 << 20])
def test_a_quote_that_the_end_of_the_file_leaves_open_is_told(
    table, monkeypatch, block
):
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", block)
    read, refused, damage = _outcome(table(".csv", [5] * 6, {29: b'5,0.4,29,"w'}))
    assert sorted(read) == [0, 1, 2, 3, 4]
    assert refused == []
    assert "line 31: a cell holds a line break, or its quote is not closed" in damage
    path = _write(table(".csv", [1], {}), [b'0,0,1,"w"', b'0,0.1,2,"w'])
    segment = next(DelimitedReader(path, {}).pointers())
    with pytest.raises(DamagedRecordingError, match="line 3: the quote of its last"):
        DelimitedReader(path, {}).read(segment, ["x"])


@pytest.mark.parametrize(
    "odd", [b'1,0.1,6,"5" wrench', b'1,0.1,6,"%s"' % (b"x" * 150_000)]
)
def test_an_odd_quote_that_is_closed_does_not_spoil_what_a_later_line_breaks(
    table, odd
):
    path = table(".csv", [5] * 6, {6: odd, 17: b"3"})
    read, refused, damage = _outcome(path)
    assert sorted(read) == [0, 1, 2, 4, 5]
    assert [reason.split(", line ")[1][:2] for reason in refused] == ["19"]
    assert damage == ""


def test_a_table_with_a_broken_last_line_may_be_looked_into(table):
    contents = DelimitedReader(
        table(".csv", [5] * 6, {29: b"5,0.4"}), {"episode": "ep"}
    ).contents()
    assert contents.episodes == 5
    assert any("line 31" in note for note in contents.notes)


def test_a_broken_last_line_is_told_as_the_end(table):
    read, refused, damage = _outcome(table(".csv", [5] * 6, {29: b"5,0.4"}))
    assert sorted(read) == [0, 1, 2, 3, 4]
    assert refused == []
    assert "line 31: 2 cells where the header has 4" in damage


def test_broken_lines_without_end_are_not_searched_for(table, monkeypatch):
    monkeypatch.setattr(text_listing, "_MOST_BROKEN", 3)
    broken = {6: b"x", 7: b"x", 12: b"x", 17: b"x"}
    read, refused, damage = _outcome(table(".csv", [5] * 6, broken))
    assert sorted(read) == [0]
    assert len(refused) == 2
    assert "line 19: 1 cells" in damage


def test_a_table_of_which_no_row_can_be_read_is_told_at_once(table):
    path = table(".csv", [2], {0: b"1,2", 1: b"3"})
    with pytest.raises(DamagedRecordingError, match="line 2: 2 cells"):
        DelimitedReader(path, _OPTIONS)


def test_half_of_a_character_in_the_name_of_an_episode_loses_no_other(table):
    line = b'{"ep": "\\ud800", "t": 0, "x": 1, "w": ""}'
    path = table(".jsonl", [5, 1, 5], {5: line})
    assert len(list(DelimitedReader(path, _OPTIONS).pointers())) == 3


def test_contents_tell_what_is_broken(table):
    path = table(".jsonl", [5] * 6, {17: b"{", 22: b"{"})
    contents = DelimitedReader(path, _OPTIONS).contents()
    assert contents.episodes == 6
    assert any(
        note.startswith("2 lines cannot be read") and "line 18: " in note
        for note in contents.notes
    )


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_is_read_is_what_was_written(data, tmp_path_factory):
    suffix = data.draw(st.sampled_from([".csv", ".jsonl"]))
    lengths = data.draw(st.lists(st.integers(1, 5), min_size=2, max_size=12))
    lines = _lines(lengths, suffix)
    kinds = _BROKEN_CSV if suffix == ".csv" else _BROKEN_JSON
    broken = data.draw(
        st.dictionaries(
            st.integers(0, len(lines) - 1), st.sampled_from(kinds), max_size=4
        )
    )
    # Blank lines at the end are no rows.
    assume(broken.get(len(lines) - 1, b"x").strip())
    folder = tmp_path_factory.mktemp("listing")
    whole, _, _ = _outcome(_write(folder / f"whole{suffix}", [x for _, x in lines]))
    path = _write(
        folder / f"log{suffix}",
        [broken.get(k, line) for k, (_, line) in enumerate(lines)],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_blocks, "BLOCK_BYTES", data.draw(st.integers(20, 400)))
        try:
            read, refused, damage = _outcome(path)
        except DamagedRecordingError:
            # Not one row of the head can be read.
            return
    assert all(whole[episode] == rows for episode, rows in read.items())
    hit = {lines[k][0] for k in broken}
    assert not hit & set(read)
    if not damage:
        # What stands on both sides of a broken line, however many are side by side.
        beside = {
            lines[min(max(k + d, 0), len(lines) - 1)][0]
            for k in broken
            for d in _reach(k, broken, len(lines))
        }
        assert set(whole) - set(read) <= hit | beside
    assert bool(broken) == bool(refused or damage)


def _reach(place, broken, count):
    """Returns how far from a broken line the next sound ones are, on both sides."""
    before, behind = place, place
    while before in broken:
        before -= 1
    while behind in broken and behind < count:
        behind += 1
    return before - place, behind - place
