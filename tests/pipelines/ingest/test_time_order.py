"""Messages come by time, none is lost, and no more is held than allowed."""

from __future__ import annotations

import functools

import hypothesis.strategies as st
from hypothesis import given

from thresher.pipelines.ingest.time_order import Piece, Timed, in_time_order, merged


def _pieces(chunks):
    """Pieces of (time, number) messages, by their earliest."""
    made = []
    for chunk in chunks:
        read = functools.partial(
            lambda c: [Timed(time, 0, bytes([n % 256])) for time, n in c], chunk
        )
        made.append(Piece(min((time for time, _ in chunk), default=0), read))
    return sorted(made, key=lambda piece: piece.start_ns)


CHUNKS = st.lists(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 255)), max_size=8), max_size=8
)


@given(CHUNKS)
def test_all_messages_come_in_the_order_of_time(chunks):
    found = list(in_time_order(_pieces(chunks)))
    expected = [message for chunk in chunks for message in chunk]
    assert [m.time_ns for m in found] == sorted(time for time, _ in expected)
    assert sorted((m.time_ns, m.data[0]) for m in found) == sorted(expected)


@given(CHUNKS)
def test_with_little_room_none_is_lost_though_order_may_be(chunks):
    found = list(in_time_order(_pieces(chunks), held_bytes=300))
    expected = [message for chunk in chunks for message in chunk]
    assert sorted((m.time_ns, m.data[0]) for m in found) == sorted(expected)


def test_messages_of_one_time_keep_the_order_of_the_file():
    pieces = _pieces([[(5, 1), (5, 2)], [(5, 3), (1, 0)]])
    assert [m.data[0] for m in in_time_order(pieces)] == [0, 3, 1, 2]


def test_no_more_is_held_than_allowed():
    chunks = [[(0, 1)] + [(1000 + k, 2)] * 50 for k in range(20)]
    read = 0
    most = 0
    given_out = 0

    def counting(chunk):
        nonlocal read
        read += len(chunk)
        return [Timed(time, 0, bytes(1000)) for time, _ in chunk]

    pieces = [Piece(0, functools.partial(counting, chunk)) for chunk in chunks]
    for _ in in_time_order(pieces, held_bytes=100_000):
        given_out += 1
        most = max(most, read - given_out)
    assert given_out == 20 * 51
    # A piece more than is allowed has been read before the first is let go.
    assert most * 1150 < 100_000 + 51 * 1150


def test_several_logs_are_merged_by_time_and_numbered():
    logs = [iter([Timed(1, 7, b"a"), Timed(4, 7, b"c")]), iter([Timed(2, 9, b"b")])]
    assert [(n, m.data) for n, m in merged(logs)] == [(0, b"a"), (1, b"b"), (0, b"c")]
