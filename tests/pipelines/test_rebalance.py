"""Rebalancing reaches its target by each method, is seeded, and says what it did."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.episodes.errors import UserError
from thresher.pipelines.rebalance import (
    METHODS,
    NO,
    UNKNOWN,
    YES,
    RebalanceConfig,
    cell_counts,
    rebalance,
)


def _ids(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**63, (count, 2), dtype=np.uint64)


def _rebalance(outcomes, config, ids=None, strata=None, names=(("grasp",),)):
    outcomes = np.array(outcomes)
    ids = _ids(len(outcomes)) if ids is None else ids
    strata = np.zeros(len(outcomes), np.int64) if strata is None else np.array(strata)
    return rebalance(outcomes, strata, list(names), ids, config)


@pytest.mark.parametrize(
    ("available", "target", "method", "wanted"),
    [
        ((25, 75), 0.5, "downsample", (25, 25)),
        ((75, 25), 0.5, "downsample", (25, 25)),
        ((10, 90), 0.25, "downsample", (10, 30)),
        ((30, 10), 0.25, "downsample", (3, 10)),
        ((25, 75), 0.5, "duplicate", (75, 75)),
        ((10, 90), 0.25, "duplicate", (30, 90)),
        ((30, 10), 0.25, "duplicate", (30, 90)),
    ],
)
def test_counts_are_those_worked_out_by_hand(available, target, method, wanted):
    shares = {YES: target, NO: 1 - target}
    counts = cell_counts(dict(zip((YES, NO), available)), shares, method)
    assert (counts[YES], counts[NO]) == wanted


@settings(max_examples=150, deadline=None)
@given(
    outcomes=st.lists(st.sampled_from([YES, NO, UNKNOWN]), min_size=1, max_size=200),
    target=st.floats(0.05, 0.95),
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 5),
)
def test_any_index_comes_as_close_to_the_target_as_episodes_allow(
    outcomes, target, method, seed
):
    outcomes = np.array([*outcomes, YES, NO])
    config = RebalanceConfig(target=target, method=method, seed=seed)
    shares, (report,) = _rebalance(outcomes, config)
    copies, weights = shares.copies, shares.weights
    assert (copies[outcomes == UNKNOWN] == 1).all()
    counts = [int(copies[outcomes == code].sum()) for code in (YES, NO)]
    assert report.after == tuple(counts)
    before = [int((outcomes == code).sum()) for code in (YES, NO)]
    if method == "weights":
        assert (copies == 1).all()
        mass = [weights[outcomes == code].sum() for code in (YES, NO)]
        assert mass[0] / sum(mass) == pytest.approx(target)
        assert weights.mean() == pytest.approx(1)
        assert report.achieved == pytest.approx(target)
        return
    assert (weights == 1).all()
    # One class stays as it is, the other is the nearest whole number to its share.
    nearest = (
        max(1, round(counts[1] * target / (1 - target))),
        max(1, round(counts[0] * (1 - target) / target)),
    )
    assert (counts[0] == before[0] and counts[1] == nearest[1]) or (
        counts[1] == before[1] and counts[0] == nearest[0]
    )
    if method == "downsample":
        assert copies.max() == 1
    else:
        assert copies.min() == 1
        for code in (YES, NO):
            mine = copies[outcomes == code]
            assert mine.max() - mine.min() <= 1


@settings(max_examples=50, deadline=None)
@given(count=st.integers(4, 60), method=st.sampled_from(METHODS), data=st.data())
def test_the_choice_depends_on_ids_and_seed_and_not_on_order(count, method, data):
    outcomes = np.array([YES, NO, NO] + [NO] * (count - 3))
    ids = _ids(count, count)
    order = np.array(data.draw(st.permutations(range(count))))
    config = RebalanceConfig(method=method)
    first, _ = _rebalance(outcomes, config, ids)
    second, _ = _rebalance(outcomes[order], config, ids[order])
    np.testing.assert_array_equal(first.copies[order], second.copies)
    np.testing.assert_allclose(first.weights[order], second.weights)


def test_another_seed_chooses_others():
    outcomes = [YES] * 5 + [NO] * 30
    first, _ = _rebalance(outcomes, RebalanceConfig(seed=1))
    other, _ = _rebalance(outcomes, RebalanceConfig(seed=2))
    assert (first.copies != other.copies).any()


def test_each_stratum_is_balanced_by_itself():
    outcomes = [YES, NO, NO, YES, YES, NO]
    _, reports = _rebalance(
        outcomes,
        RebalanceConfig(),
        strata=[1, 1, 1, 0, 0, 0],
        names=[("b",), ("a",)],
    )
    assert [(r.stratum, r.before, r.after) for r in reports] == [
        (("a",), (1, 2), (1, 1)),
        (("b",), (2, 1), (1, 1)),
    ]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("outcome", "missing"), [(YES, "failure"), (NO, "success")])
def test_a_missing_class_is_named(method, outcome, missing):
    with pytest.raises(UserError, match=f"no {missing} among 3 labelled.*'grasp'"):
        _rebalance([outcome] * 3, RebalanceConfig(method=method))


def test_absurd_repetition_is_refused():
    with pytest.raises(UserError, match=r"repeat each of 1 episodes 2000 times"):
        _rebalance([YES] + [NO] * 2000, RebalanceConfig(method="duplicate"))


@pytest.mark.parametrize("target", [0.0, 1.0, -1.0, 7.0, float("nan")])
def test_impossible_targets_are_refused(target):
    with pytest.raises(UserError, match="between 0 and 1"):
        RebalanceConfig(target=target)


def test_an_unknown_method_is_refused():
    with pytest.raises(UserError, match="did you mean 'downsample'"):
        RebalanceConfig(method="down_sample")


@pytest.mark.parametrize("target", [1e-310, 0.0, 1.0, float("nan")])
def test_a_target_that_no_episodes_can_reach_is_refused(target):
    with pytest.raises(UserError, match="cannot be rebalanced to"):
        RebalanceConfig(target)
    with pytest.raises(UserError, match="would repeat"):
        _rebalance([YES, NO], RebalanceConfig(1e-12, method="duplicate"))
