"""N-step returns, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.offline_rl.transitions.nstep import n_step_returns, targets_name

# One after the other: a success of 3 actions, a failure of 2, a time-out of 2. Rows
# 3, 6 and 9 are final observations, whose numbers must never be read.
NEVER = np.nan
REWARD = np.array([0, 0, 1, NEVER, 0, 0, NEVER, 0, 0, NEVER])
DISCOUNT = np.array([1, 1, 0, NEVER, 1, 0, NEVER, 1, 1, NEVER])
SUCCESS, FAILURE, TIME_OUT = 3, 6, 9


def _returns(row, last, n, gamma=0.5):
    found = n_step_returns(
        REWARD, DISCOUNT, np.array([row]), np.array([last]), n=n, gamma=gamma
    )
    return (
        float(found.reward[0]),
        float(found.discount[0]),
        int(found.bootstrap_row[0]),
    )


@pytest.mark.parametrize(
    ("row", "n", "expected"),
    [
        (0, 1, (0.0, 0.5, 1)),
        (1, 1, (0.0, 0.5, 2)),
        (2, 1, (1.0, 0.0, 3)),
        (0, 2, (0.0, 0.25, 2)),
        (1, 2, (0.5, 0.0, 3)),
        (2, 2, (1.0, 0.0, 3)),
        (0, None, (0.25, 0.0, 3)),
        (1, None, (0.5, 0.0, 3)),
        (2, None, (1.0, 0.0, 3)),
    ],
)
def test_a_terminal_success_is_worth_its_discounted_reward(row, n, expected):
    assert _returns(row, SUCCESS, n) == expected


@pytest.mark.parametrize(
    ("row", "n", "expected"),
    [
        (4, 1, (0.0, 0.5, 5)),
        (5, 1, (0.0, 0.0, 6)),
        (4, 2, (0.0, 0.0, 6)),
        (4, None, (0.0, 0.0, 6)),
    ],
)
def test_nothing_follows_a_terminal_failure(row, n, expected):
    assert _returns(row, FAILURE, n) == expected


@pytest.mark.parametrize(
    ("row", "n", "expected"),
    [
        (7, 1, (0.0, 0.5, 8)),
        (8, 1, (0.0, 0.5, 9)),
        (7, 2, (0.0, 0.25, 9)),
        (8, 2, (0.0, 0.5, 9)),
        (7, None, (0.0, 0.25, 9)),
    ],
)
def test_a_time_out_bootstraps_from_its_final_observation(row, n, expected):
    assert _returns(row, TIME_OUT, n) == expected


def test_a_batch_mixes_episodes_of_any_length():
    rows, last = np.array([0, 4, 7]), np.array([3, 6, 9])
    found = n_step_returns(REWARD, DISCOUNT, rows, last, n=None, gamma=0.9)
    np.testing.assert_allclose(found.reward, [0.81, 0, 0])
    np.testing.assert_allclose(found.discount, [0, 0, 0.81])
    np.testing.assert_array_equal(found.bootstrap_row, [3, 6, 9])


def test_the_final_step_is_no_transition():
    with pytest.raises(ValueError, match="row 3 is the final step"):
        _returns(3, SUCCESS, 1)


@pytest.mark.parametrize("n", [0, -1])
def test_n_counts_from_one(n):
    with pytest.raises(ValueError, match="n must be at least 1"):
        _returns(0, SUCCESS, n)


def test_monte_carlo_is_never_called_td():
    assert [targets_name(n) for n in (1, 3, None)] == ["td", "n-step", "monte-carlo"]
