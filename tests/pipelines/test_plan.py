"""A plan holds every episode once, evenly, in an order that only the seed decides."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.episodes.errors import UserError
from thresher.pipelines.plan import PlanConfig, make_plan


def _index(sizes, splits):
    return pa.table(
        {
            "episode_id": [f"e{n}" for n in range(len(sizes))],
            "length_bytes": sizes,
            "split": splits,
        }
    )


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 10_000), st.sampled_from(["train", "val"])), min_size=1
    ),
    num_shards=st.integers(0, 7),
    max_bytes=st.integers(1, 50_000),
)
def test_every_episode_has_one_place_and_no_shard_is_empty(rows, num_shards, max_bytes):
    sizes, splits = zip(*rows)
    config = PlanConfig(num_shards=num_shards, max_shard_bytes=max_bytes)
    plan = make_plan(_index(list(sizes), list(splits)), config).to_pylist()
    assert Counter(r["episode_id"] for r in plan) == Counter(
        f"e{n}" for n in range(len(rows))
    )
    for split in set(splits):
        ours = [r for r in plan if r["split"] == split]
        places = [(r["shard"], r["position"]) for r in ours]
        assert places == sorted(set(places))
        shards = {shard for shard, _ in places}
        assert shards == set(range(ours[0]["num_shards"]))
        for shard in shards:
            positions = [p for s, p in places if s == shard]
            assert positions == list(range(len(positions)))


def test_the_order_of_rows_does_not_matter_and_the_seed_does():
    index = _index([10] * 30, ["train"] * 30)
    turned = index.take(list(range(29, -1, -1)))
    plan = make_plan(index, PlanConfig(seed=1))
    assert plan.equals(make_plan(turned, PlanConfig(seed=1)))
    assert not plan.equals(make_plan(index, PlanConfig(seed=2)))


def test_nothing_to_write_is_said():
    with pytest.raises(UserError, match="no episode is left"):
        make_plan(_index([], []), PlanConfig())
