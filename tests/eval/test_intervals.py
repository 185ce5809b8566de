"""Wilson's interval against numbers from the literature and by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.eval.intervals import Proportion


def test_a_textbook_interval():
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3: 81 of 263.
    low, high = Proportion(81, 263).interval
    assert low == pytest.approx(0.2553, abs=5e-5)
    assert high == pytest.approx(0.3662, abs=5e-5)


def test_none_of_twenty_is_not_certainly_none():
    # The same table: 0 of 20.
    low, high = Proportion(0, 20).interval
    assert low == pytest.approx(0.0, abs=1e-12)
    assert high == pytest.approx(0.1611, abs=5e-5)


@given(trials=st.integers(1, 10_000), share=st.floats(0, 1))
def test_the_interval_holds_the_rate_and_stays_in_the_unit_interval(trials, share):
    rate = Proportion(round(trials * share), trials)
    low, high = rate.interval
    assert 0 <= low <= rate.rate + 1e-12
    assert rate.rate - 1e-12 <= high <= 1


def test_above_means_intervals_apart():
    assert Proportion(180, 250).is_above(Proportion(60, 250))
    assert not Proportion(70, 250).is_above(Proportion(60, 250))


@pytest.mark.parametrize(("successes", "trials"), [(3, 2), (-1, 5), (0, 0)])
def test_impossible_counts_are_refused(successes, trials):
    with pytest.raises(ValueError, match="successes of"):
        Proportion(successes, trials)
