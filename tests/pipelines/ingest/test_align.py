"""Alignment: hand-computed numbers, and that nothing is made up."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from thresher.pipelines.ingest.align import (
    NONE,
    first_after,
    fixed_rate,
    interpolate,
    latest_before,
    latest_before_next,
    nearest,
    skew,
    thinned,
    totals,
)

TIMES = np.array([10, 20, 20, 40])
CLOCK = np.array([5, 10, 19, 20, 31, 50])


@pytest.mark.parametrize(
    ("pick", "positions"),
    [
        (latest_before, [-1, 0, 0, 2, 2, 3]),
        # Before the next tick: 10, 19, 20, 31, 50; and for the last, at or before it.
        (latest_before_next, [-1, 0, 0, 2, 3, 3]),
        (first_after, [0, 0, 1, 1, 3, -1]),
        (nearest, [0, 0, 1, 1, 3, 3]),
    ],
)
def test_positions_are_those_worked_out_by_hand(pick, positions):
    assert pick(TIMES, CLOCK).tolist() == positions


def test_of_two_that_are_equally_near_the_earlier_counts():
    assert nearest(np.array([0, 10]), np.array([5])).tolist() == [0]


def test_interpolation_is_that_worked_out_by_hand():
    values = np.array([[0.0, 1.0], [10.0, 3.0]])
    mixed, before, after = interpolate(
        np.array([0, 100]), values, np.array([0, 25, 99])
    )
    assert mixed.tolist() == [[0.0, 1.0], [2.5, 1.5], [9.9, 2.98]]
    assert before.tolist() == [0, 0, 0]
    assert after.tolist() == [0, 1, 1]


def test_interpolation_does_not_reach_beyond_the_stream():
    _, before, after = interpolate(np.array([10, 20]), np.ones(2), np.array([9, 21]))
    assert before.tolist() == after.tolist() == [NONE, NONE]


def test_totals_take_each_value_once():
    times, values = np.array([0, 5, 10, 19, 20]), np.array([1.0, 2, 4, 8, 16])
    assert totals(times, values, np.array([0, 10, 20])).tolist() == [3.0, 12.0]


def test_ticks_of_a_rate_are_rounded_each_by_itself():
    ticks = fixed_rate(7, 10**9 + 7, 3)
    assert ticks.tolist() == [7, 333333340, 666666674, 1000000007]


def test_a_thinned_clock_ticks_at_times_of_the_log():
    times = np.array([0, 30, 60, 95, 130, 500, 510, 600]) * 10**6
    assert times[thinned(times, 10)].tolist() == [
        0,
        130 * 10**6,
        500 * 10**6,
        600 * 10**6,
    ]


def test_a_clock_at_the_very_rate_keeps_every_value():
    rng = np.random.default_rng(0)
    jitter = rng.integers(-300_000, 300_000, 100)
    times = np.arange(100) * 10**8 + jitter
    assert len(thinned(times, 10)) == 100


STREAM = st.lists(st.integers(0, 200), min_size=1, max_size=30).map(
    lambda times: np.sort(np.array(times, dtype=np.int64))
)


@given(STREAM, STREAM)
def test_picking_returns_positions_of_the_stream_and_keeps_its_promise(times, clock):
    clock = np.unique(clock)
    before, after = latest_before(times, clock), first_after(times, clock)
    near = nearest(times, clock)
    for t, tick in enumerate(clock):
        past, future = times[times <= tick], times[times >= tick]
        assert (before[t] == NONE) == (len(past) == 0)
        assert (after[t] == NONE) == (len(future) == 0)
        if len(past):
            assert times[before[t]] == past[-1]
        if len(future):
            assert times[after[t]] == future[0]
        assert abs(times[near[t]] - tick) == np.abs(times - tick).min()
    assert (skew(times, clock, near) == np.abs(times[near] - clock)).all()


@given(STREAM, STREAM)
def test_the_command_in_force_is_never_one_of_the_next_step(times, clock):
    clock = np.unique(clock)
    picked = latest_before_next(times, clock)
    for t in range(len(clock) - 1):
        if picked[t] != NONE:
            assert times[picked[t]] < clock[t + 1]
        else:
            assert times[0] >= clock[t + 1]


@given(STREAM, STREAM)
def test_interpolated_numbers_lie_between_their_neighbours(times, clock):
    values = np.sin(times.astype(float))
    mixed, before, after = interpolate(times, values, clock)
    inside = before != NONE
    low = np.minimum(values[before], values[after])
    high = np.maximum(values[before], values[after])
    assert (mixed[inside] >= low[inside] - 1e-12).all()
    assert (mixed[inside] <= high[inside] + 1e-12).all()
    # At a time of the log it is the log's own value, to the bit.
    at_own = inside & np.isin(clock, times)
    assert (mixed[at_own] == values[before][at_own]).all()


@given(STREAM, STREAM)
def test_totals_lose_nothing_between_their_edges(times, clock):
    edges = np.unique(clock)
    values = np.arange(len(times), dtype=float)
    inside = (times >= edges[0]) & (times < edges[-1])
    assert totals(times, values, edges).sum() == values[inside].sum()
