"""A plan holds every episode as often as asked, evenly, in an order of the seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.episodes.errors import UserError
from thresher.pipelines.plan import PlanConfig, make_plan

SPLITS = ["train", "val"]


def _plan(sizes, splits, copies=None, config=None, ids=None):
    count = len(sizes)
    ids = _ids(count) if ids is None else ids
    return make_plan(
        np.arange(count),
        ids,
        np.array(splits, dtype=np.int8),
        np.array(sizes, dtype=np.int64),
        np.ones(count, np.int64) if copies is None else np.array(copies),
        SPLITS,
        config or PlanConfig(),
    )


def _ids(count):
    rng = np.random.default_rng(3)
    return rng.integers(0, 2**63, (count, 2), dtype=np.uint64)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 10_000), st.integers(0, 1), st.integers(1, 4)),
        min_size=1,
    ),
    num_shards=st.integers(0, 7),
    max_bytes=st.integers(1, 50_000),
)
def test_every_copy_has_one_place_and_no_shard_is_empty(rows, num_shards, max_bytes):
    sizes, splits, copies = zip(*rows)
    config = PlanConfig(num_shards=num_shards, max_shard_bytes=max_bytes)
    plan = _plan(sizes, splits, copies, config)
    assert Counter(plan.rows.tolist()) == Counter(dict(enumerate(copies)))
    for row, count in enumerate(copies):
        assert sorted(plan.copy[plan.rows == row]) == list(range(count))
    for split in set(splits):
        mine = plan.split == split
        places = list(zip(plan.shard[mine].tolist(), plan.position[mine].tolist()))
        assert places == sorted(set(places))
        shards = {shard for shard, _ in places}
        assert shards == set(range(plan.num_shards[mine][0]))
        for shard in shards:
            positions = [p for s, p in places if s == shard]
            assert positions == list(range(len(positions)))
        assert [splits[row] for row in plan.rows[mine]] == [split] * mine.sum()


def test_the_order_of_rows_does_not_matter_and_the_seed_does():
    ids = _ids(30)
    one = _plan([10] * 30, [0] * 30, ids=ids)
    turned = _plan([10] * 30, [0] * 30, ids=ids[::-1])
    np.testing.assert_array_equal(ids[one.rows], ids[::-1][turned.rows])
    other = _plan([10] * 30, [0] * 30, config=PlanConfig(seed=2), ids=ids)
    assert (one.rows != other.rows).any()


def test_nothing_to_write_is_said():
    with pytest.raises(UserError, match="no episode is left"):
        _plan([], [])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"num_shards": 100_000}, "at most 99,999"),
        ({"num_shards": -1}, "must be positive"),
        ({"max_shard_bytes": 0}, "must be positive"),
        ({"file_format": "tfrecords"}, "did you mean 'tfrecord'"),
        ({"max_examples_per_split": -3}, "must be positive"),
    ],
)
def test_absurd_settings_are_refused(setting, told):
    with pytest.raises(UserError, match=told):
        PlanConfig(**setting)
