"""Groups never straddle splits, and adding episodes moves none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.episodes.errors import UserError
from thresher.pipelines.split import (
    HeldOut,
    SplitConfig,
    first_leak,
    split_numbers,
)


def _splits(groups, config, environments=()):
    names = config.names
    held_out = HeldOut(config).among(environments) if config.held_out else None
    return [names[n] for n in split_numbers(groups, held_out, config)]


@settings(max_examples=60, deadline=None)
@given(
    old=st.lists(st.text(max_size=4), min_size=1),
    new=st.lists(st.text(max_size=4)),
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
)
def test_adding_episodes_moves_no_old_one(old, new, share, seed):
    config = SplitConfig(shares={"train": share, "val": 1 - share}, seed=seed)
    before = _splits(old, config)
    after = _splits(old + new, config)
    assert after[: len(old)] == before
    keys = np.array([hash(group) for group in old + new])
    assert first_leak(keys, split_numbers(old + new, None, config)) is None


def test_shares_are_met_over_many_groups():
    splits = _splits([f"scene {n}" for n in range(5000)], SplitConfig())
    assert 0.035 < splits.count("val") / 5000 < 0.065


def test_held_out_objects_go_to_the_held_out_split():
    config = SplitConfig(held_out=("object_set", "eval"))
    environments = ['{"object_set": "eval"}', '{"object_set": "train"}', "{}"]
    splits = _splits(["a", "b", "c"], config, environments)
    assert splits[0] == "test"
    assert "test" not in splits[1:]


def test_any_of_a_list_of_values_is_held_out():
    config = SplitConfig(held_out=("object_set", ["eval", "test"]))
    kinds = ["eval", "test", "train", ["eval", "test"]]
    environments = [json.dumps({"object_set": kind}) for kind in kinds]
    splits = _splits(["a", "b", "c", "d"], config, environments)
    assert [split == "test" for split in splits] == [True, True, False, True]


def _tell_if_none(value, *batches, key="object_set"):
    held_out = HeldOut(SplitConfig(held_out=(key, value)))
    for batch in batches:
        held_out.among(batch)
    held_out.tell_if_none()


def test_a_parameter_that_no_episode_has_holds_nothing_out_and_is_refused():
    with pytest.raises(UserError, match=r"split\.held_out: .* 'object_set'\?"):
        _tell_if_none("eval", ['{"object_set": "train"}', "{}"], key="object_sett")


def test_a_value_that_no_episode_has_is_told_with_those_there_are(capsys):
    _tell_if_none("evl", ['{"object_set": "train"}'] * 3, ['{"object_set": "eval"}'])
    told = capsys.readouterr().err
    assert "object_set 'evl'" in told and "values there are: 'eval', 'train'" in told


@pytest.mark.parametrize("batch", [0, 1])
def test_nothing_is_told_where_any_batch_has_the_value(capsys, batch):
    batches = [['{"object_set": "train"}'], ["{}"]]
    batches[batch].append('{"object_set": "eval"}')
    _tell_if_none("eval", *batches)
    assert not capsys.readouterr().err


def test_a_leak_is_found_wherever_it_stands():
    keys = np.array([5, 3, 5, 3, 9])
    splits = np.array([0, 1, 1, 1, 0])
    assert set(first_leak(keys, splits)) == {0, 2}
    assert first_leak(keys, np.array([1, 0, 1, 0, 0])) is None


@pytest.mark.parametrize(
    "shares", [{"train": 0.5}, {}, {"train": 1.5, "val": -0.5}, {"train": 2.0}]
)
def test_shares_that_are_no_division_are_refused(shares):
    with pytest.raises(UserError, match="sum to 1"):
        SplitConfig(shares=shares)


def test_a_split_that_would_name_a_path_is_refused():
    with pytest.raises(UserError, match="cannot name a split"):
        SplitConfig(shares={"../train": 1.0})
