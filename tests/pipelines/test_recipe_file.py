"""Recipes are read as written, and what is wrong in one is named by key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from thresher.episodes.errors import UserError
from thresher.pipelines.checks import Check
from thresher.pipelines.recipe_file import read_recipe

WHOLE = """
name: kitchen
version: 2.1.0
description: Pots and pans.
release_notes: {2.1.0: More pans.}
sources:
  - logs: raw
    weight: 3
  - version: other/1.0.0
    weight: 1
    where: success
labels: [people.csv]
checks:
  dark: 6.5
  frozen: off
  jitter: reject
  too_short: {threshold: 4, action: reject}
release: ["check = 'dark'"]
where: length > 2
near_duplicates: drop
split:
  group: robot
  shares: {train: 0.8, val: 0.2}
  held_out: {object_set: eval}
rebalance: {target: 0.4, method: weights, strata: [task, robot]}
shards: {max_shard_mb: 16, seed: 3}
"""


def _read(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return read_recipe(path)


def test_every_key_arrives(tmp_path):
    file = _read(tmp_path, WHOLE)
    recipe = file.recipe
    assert (recipe.name, recipe.version) == ("kitchen", "2.1.0")
    assert file.notes == {"2.1.0": "More pans."}
    assert [(s.logs, s.version, s.weight) for s in recipe.sources] == [
        ("raw", "", 3.0),
        ("", "other/1.0.0", 1.0),
    ]
    assert recipe.checks == {
        "dark": Check("reject", 6.5),
        "frozen": Check("off", 4.0),
        "jitter": Check("reject", 0.5),
        "too_short": Check("reject", 4.0),
    }
    assert recipe.split.held_out == ("object_set", "eval")
    assert recipe.rebalance.method == "weights"
    assert recipe.rebalance.strata == ("task", "robot")
    assert recipe.plan.max_shard_bytes == 16 << 20
    assert recipe.plan.seed == 3


def test_the_same_recipe_is_the_same_after_a_trip_through_json(tmp_path):
    import json

    plain = _read(tmp_path, WHOLE).recipe.to_dict()
    assert json.loads(json.dumps(plain)) == plain


def test_a_folder_stands_for_the_recipe_in_it(tmp_path):
    _read(tmp_path, "name: a\nversion: 1.0.0\n")
    assert read_recipe(tmp_path).recipe.name == "a"


def test_variants_change_what_they_name(tmp_path):
    file = _read(
        tmp_path,
        "name: a\nversion: 1.0.0\nconfigs:\n  half: {rebalance: {target: 0.5}}\n"
        "  all: {rebalance: off, where: success}\n",
    )
    assert file.recipe.config == "half"
    assert file.variant("all").rebalance is None
    assert file.variant("all").where == "success"
    assert file.variant("half").where == ""
    with pytest.raises(UserError, match="did you mean 'half'"):
        file.variant("hal")


def test_rebalancing_that_nobody_asked_for_needs_no_split_of_its_name(tmp_path):
    shares = "split: {shares: {training: 0.9, validation: 0.1}%s}\n"
    head = "name: a\nversion: 1.0.0\n"
    assert _read(tmp_path, head + shares % "").recipe.rebalance
    off = _read(tmp_path, head + shares % "" + "rebalance: off\n")
    assert off.recipe.rebalance is None
    kept = _read(
        tmp_path, head + shares % ", keep: true" + "rebalance: {target: 0.4}\n"
    )
    assert kept.recipe.rebalance.target == 0.4


def test_the_page_that_a_message_names_is_there():
    from thresher.pipelines import recipe_file

    source = Path(recipe_file.__file__)
    pages = re.findall(r"docs/\w+\.md", source.read_text())
    assert pages and all((source.parents[1] / page).is_file() for page in pages)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must be keys with values, not None; see docs/the_dataset.md"),
        (
            "name: a\nversion: 1.0.0\nrebalance: {split: trian}\n",
            "rebalance.split: unknown split 'trian': did you mean 'train'? known: "
            "train, val",
        ),
        (
            "name: a\nversion: 1.0.0\nrebalance: {target: 0.5}\n"
            "split: {shares: {training: 0.9, validation: 0.1}}\n",
            "known: training, validation",
        ),
        ("name: a\nversion: 1.0.0\nsplit: {shares: {tränen: 1}}\n", "'tränen' cannot"),
        ("name: a\nversion: 1.0.0\nsplit: {shares: {all: 1}}\n", "'all' cannot name"),
        ("name: a\nversion: 1.0.0\nsplit: {held_out_split: all}\n", "'all' cannot"),
        ("- a\n", "must be keys with values"),
        ("name: [", "is no YAML"),
        ("name: !!python/object:os.system x\n", "is no YAML"),
        ("version: 1.0.0\n", "'name' is missing"),
        ("name: a\n", "'version' is missing"),
        ("name: a\nversion: 1.0\n", "'1.0' of a is not 'major.minor.patch'"),
        ("name: a\nversion: 01.0.0\n", "not 'major.minor.patch'"),
        ("name: ../a\nversion: 1.0.0\n", "cannot name a dataset"),
        (
            "name: a\nversion: 1.0.0\nconfigs: {x: {name: q}}\n",
            "configs.x cannot change 'name' to 'q'",
        ),
        (
            "name: a\nversion: 1.0.0\nconfigs: {x: {config: q}}\n",
            "configs.x cannot change 'config'",
        ),
        ("name: a\nversion: 1.0.0\nsplitt: {}\n", "did you mean 'split'"),
        ("name: a\nversion: 1.0.0\nconfigz: x\n", "did you mean 'configs'"),
        ("name: a\nversion: 1.0.0\nconfig: x\n", "called by its key in configs"),
        (
            "name: a\nversion: 1.0.0\nname: b\n",
            "'name' is written twice, in lines 1 and 3",
        ),
        ("name: a\nversion: 1.0.0\nsplit: {seed: 1, seed: 2}\n", "'seed' is written"),
        ("name: a\nversion: 1.0.0\nsplit: {gruop: x}\n", "did you mean 'group'"),
        ("name: a\nversion: 1.0.0\nsplit: 3\n", "split must be keys with values"),
        ("name: a\nversion: 1.0.0\nsplit: {shares: {train: x}}\n", "shares.train"),
        ("name: a\nversion: 1.0.0\nsplit: {held_out: {a: 1, b: 2}}\n", "held_out"),
        ("name: a\nversion: 1.0.0\nrebalance: {target: 1.5}\n", "between 0 and 1"),
        (
            "name: a\nversion: 1.0.0\nrebalance: {target: .nan}\n",
            "must be a number, not nan",
        ),
        ("name: a\nversion: 1.0.0\nrebalance: {target: half}\n", "rebalance.target"),
        ("name: a\nversion: 1.0.0\nrebalance: {seed: 1.5}\n", "a whole number"),
        ("name: a\nversion: 1.0.0\nchecks: {drak: 1}\n", "did you mean 'dark'"),
        ("name: a\nversion: 1.0.0\nchecks: {dark: -1}\n", "not below 0"),
        (
            "name: a\nversion: 1.0.0\nchecks: {dark: .inf}\n",
            "must be a number, not inf",
        ),
        ("name: a\nversion: 1.0.0\nchecks: {dark: rejct}\n", "did you mean 'reject'"),
        ("name: a\nversion: 1.0.0\nsources: [{}]\n", "either logs or a version"),
        (
            "name: a\nversion: 1.0.0\nsources: [{logs: x, version: y}]\n",
            "either logs or a version",
        ),
        (
            "name: a\nversion: 1.0.0\nsources: [{logs: x, weight: -2}]\n",
            "must be positive",
        ),
        (
            "name: a\nversion: 1.0.0\nsources: [{logs: x, weight: 1}, {logs: y}]\n",
            "some sources have a weight",
        ),
        ("name: a\nversion: 1.0.0\nshards: {max_shard_mb: 0}\n", "must be positive"),
        (
            "name: a\nversion: 1.0.0\nshards: {num_shards: 1000000000}\n",
            "at most 99,999",
        ),
        ("name: a\nversion: 1.0.0\nnear_duplicates: drp\n", "did you mean 'drop'"),
        ("name: a\nversion: 1.0.0\ndescription: {a: b}\n", "must be a text"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path, text, told):
    with pytest.raises(UserError, match=r"recipe\.yaml") as error:
        _read(tmp_path, text)
    assert told in str(error.value)


def test_a_recipe_that_is_not_there_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match="thresher new"):
        read_recipe(tmp_path / "nowhere")
