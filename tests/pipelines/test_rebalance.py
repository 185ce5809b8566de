"""Rebalancing reaches its target, touches one split only, and is seeded."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.episodes.errors import UserError
from thresher.pipelines.rebalance import RebalanceConfig, downsample, kept_counts


def _index(outcomes, splits=None, tasks=None):
    count = len(outcomes)
    return pa.table(
        {
            "episode_id": [f"episode {n}" for n in range(count)],
            "success": outcomes,
            "split": splits or ["train"] * count,
            "task": tasks or ["grasp"] * count,
        }
    )


@pytest.mark.parametrize(
    ("successes", "failures", "target", "kept"),
    [
        (25, 75, 0.5, (25, 25)),
        (75, 25, 0.5, (25, 25)),
        (10, 90, 0.25, (10, 30)),
        (30, 10, 0.25, (3, 10)),
    ],
)
def test_the_rarer_class_stays_whole(successes, failures, target, kept):
    assert kept_counts(successes, failures, target) == kept


@settings(max_examples=100, deadline=None)
@given(
    outcomes=st.lists(st.sampled_from(["yes", "no", "unknown"]), min_size=2),
    target=st.floats(0.1, 0.9),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_any_index_comes_as_close_to_the_target_as_episodes_allow(
    outcomes, target, seed, data
):
    outcomes = [*outcomes, "yes", "no"]
    count = len(outcomes)
    splits = data.draw(
        st.lists(st.sampled_from(["train", "val"]), min_size=count, max_size=count)
    )
    splits[-2:] = ["train", "train"]
    config = RebalanceConfig(target=target, seed=seed)
    stays, (report,) = downsample(_index(outcomes, splits), config)
    for row in range(count):
        if splits[row] != "train" or outcomes[row] == "unknown":
            assert stays[row]
    train = [r for r in range(count) if splits[r] == "train" and stays[r]]
    yes = sum(outcomes[r] == "yes" for r in train)
    no = sum(outcomes[r] == "no" for r in train)
    assert report.after == (yes, no)
    # One episode more or less of the class that was cut would be no closer.
    assert yes in (report.before[0], max(1, round(no * target / (1 - target))))
    assert no in (report.before[1], max(1, round(yes * (1 - target) / target)))


def test_the_choice_depends_on_ids_and_seed_and_not_on_order():
    outcomes = ["yes"] * 5 + ["no"] * 20
    index = _index(outcomes)
    turned = index.take(list(range(24, -1, -1)))
    first, _ = downsample(index, RebalanceConfig(seed=1))
    second, _ = downsample(turned, RebalanceConfig(seed=1))
    np.testing.assert_array_equal(first, second[::-1])
    other, _ = downsample(index, RebalanceConfig(seed=2))
    assert (first != other).any()


def test_each_stratum_is_balanced_by_itself():
    outcomes = ["yes", "no", "no", "yes", "yes", "no"]
    tasks = ["a", "a", "a", "b", "b", "b"]
    _, reports = downsample(_index(outcomes, tasks=tasks), RebalanceConfig())
    assert [(r.stratum, r.after) for r in reports] == [
        (("a",), (1, 1)),
        (("b",), (1, 1)),
    ]


@pytest.mark.parametrize(
    ("outcome", "missing"), [("yes", "failure"), ("no", "success")]
)
def test_a_missing_class_is_named(outcome, missing):
    with pytest.raises(UserError, match=f"no {missing} among 3 labelled"):
        downsample(_index([outcome] * 3), RebalanceConfig())


@pytest.mark.parametrize("target", [0.0, 1.0, -1.0, 7.0])
def test_impossible_targets_are_refused(target):
    with pytest.raises(UserError, match="between 0 and 1"):
        RebalanceConfig(target=target)
