"""Groups never straddle splits, and adding episodes moves none."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.episodes.errors import UserError
from thresher.pipelines.split import SplitConfig, require_no_leak, split_column


def _index(scenes, environments=None):
    return pa.table(
        {
            "scene_id": scenes,
            "episode_id": [f"e{n}" for n in range(len(scenes))],
            "environment": environments or ["{}"] * len(scenes),
        }
    )


@settings(max_examples=60, deadline=None)
@given(
    old=st.lists(st.text(max_size=4), min_size=1),
    new=st.lists(st.text(max_size=4)),
    share=st.floats(0, 1),
)
def test_adding_episodes_moves_no_old_one(old, new, share):
    config = SplitConfig(shares={"train": share, "val": 1 - share})
    before = split_column(_index(old), config).to_pylist()
    after = split_column(_index(old + new), config).to_pylist()
    assert after[: len(old)] == before
    index = _index(old + new).append_column("split", pa.array(after))
    require_no_leak(index, config)


def test_shares_are_met_over_many_groups():
    scenes = [f"scene {n}" for n in range(5000)]
    splits = split_column(_index(scenes), SplitConfig()).to_pylist()
    assert 0.035 < splits.count("val") / 5000 < 0.065


def test_held_out_objects_go_to_the_held_out_split():
    config = SplitConfig(held_out=("object_set", "eval"))
    environments = ['{"object_set": "eval"}', '{"object_set": "train"}', "{}"]
    splits = split_column(_index(["a", "b", "c"], environments), config).to_pylist()
    assert splits[0] == "test"
    assert "test" not in splits[1:]


def test_a_leak_is_named():
    index = _index(["a", "a"]).append_column("split", pa.array(["train", "val"]))
    with pytest.raises(UserError, match="scene_id 'a' stands in splits"):
        require_no_leak(index, SplitConfig())


def test_shares_that_are_no_division_are_refused():
    with pytest.raises(UserError, match="sum to 1"):
        SplitConfig(shares={"train": 0.5})


def test_an_unknown_group_column_is_refused():
    with pytest.raises(UserError, match="did you mean 'scene_id'"):
        split_column(_index(["a"]), SplitConfig(group="scene_ids"))
