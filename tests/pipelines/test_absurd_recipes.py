"""Whatever stands in a recipe, the answer is a recipe or one message about the key."""

from __future__ import annotations

import errno
import json
import os
import time

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thresher.episodes.errors import UserError
from thresher.episodes.version import open_version
from thresher.pipelines.build import Build, build_version
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.recipe_file import read_recipe
from thresher.pipelines.split import SplitConfig
from thresher.pipelines.stage import local_options
from thresher.tests.pipelines.test_build import write_logs

SECTIONS = {
    "split": ("group", "shares", "held_out", "held_out_split", "seed", "keep"),
    "rebalance": ("target", "strata", "method", "split", "seed"),
    "shards": (
        "seed",
        "max_shard_bytes",
        "max_shard_mb",
        "num_shards",
        "file_format",
        "max_examples_per_split",
    ),
    "checks": ("dark", "jitter", "dark: {threshold", "dark: {action"),
    "sources": ("logs", "mapping", "version", "weight", "where"),
}
KEYS = (
    *("name", "version", "description", "sources", "labels", "checks", "release"),
    *("where", "near_duplicates", "split", "rebalance", "mix", "shards", "config"),
    *("configs", "release_notes"),
)
TWICE = "[*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]"
VALUES = (
    *("", "null", "5", "-5", ".nan", ".inf", "-.inf", "1e400", "1e30", "text", "''"),
    *("[]", "[1, 2]", "{}", "{a: b}", "{1: 2}", "{null: null}", "{{a: b}: c}", "true"),
    *("2020-01-01", "2020-13-45", "!!binary 'AAAA'", "!!set {a, b}", "=", "<<"),
    *("!!timestamp ''", "!!int ''", "!!float abc", "!!bool maybe", "*nothing"),
    *("!!python/object:os.system x", '"\\0"', '"\\ud800"', "9" * 5000, "[[[[[]]]]]"),
)
# The parser takes its time for these, so not every key gets them.
LARGE = ("[" * 3000, "0x" + "f" * 9000, '"' + "x" * 3000 + '"')


def _recipe(path, **keys):
    lines = {"name": "tiny", "version": "1.0.0", **keys}
    path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return path


def _told(path):
    """Returns what is wrong with a recipe, or '' where it is one."""
    try:
        file = read_recipe(path)
    except UserError as error:
        return str(error)
    for recipe in (file.recipe, *file.variants.values()):
        # What lineage.json holds must be what is compared with it later.
        assert json.loads(json.dumps(recipe.to_dict())) == recipe.to_dict()
    return ""


@pytest.mark.parametrize("key", KEYS)
def test_a_key_with_an_absurd_value_is_told_of_in_one_message(key, tmp_path):
    for value in (*VALUES, *LARGE):
        path = _recipe(tmp_path / "recipe.yaml", **{key: value})
        told = _told(path)
        assert not told or str(path) in told, (value[:40], told[:200])
        assert len(told) < 4000
    assert _told(_recipe(path, **{key: "!!set {a, b}"})), "a set is no value"
    assert key in _told(_recipe(path, **{key: ".nan"}))


@pytest.mark.parametrize("section", SECTIONS)
def test_a_key_of_a_section_with_an_absurd_value_is_told_of(section, tmp_path):
    path = tmp_path / "recipe.yaml"
    for key in (*SECTIONS[section], "nonsense"):
        close = "}}" if "{" in key else "}"
        for value in VALUES:
            told = _told(_recipe(path, **{section: f"{{{key}: {value}{close}"}))
            assert not told or str(path) in told, (key, value[:40], told[:200])
            assert len(told) < 4000
        told = _told(_recipe(path, **{section: f"{{{key}: .nan{close}"}))
        assert section in told and key.split(":")[0] in told, told


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"nonsense": "5"}, ["'nonsense'", "known:"]),
        ({"rebalance": "{target: 1.5}"}, ["rebalance", "1.5"]),
        ({"rebalance": "{method: luck}"}, ["rebalance", "'luck'", "downsample"]),
        ({"shards": "{num_shards: 1.5}"}, ["shards.num_shards", "1.5", "whole"]),
        ({"shards": "{num_shards: -1}"}, ["shards", "-1", "positive"]),
        ({"shards": "{num_shards: 1000000}"}, ["shards", "1000000", "99,999"]),
        ({"shards": "{max_shard_mb: .inf}"}, ["shards.max_shard_mb", "inf"]),
        ({"shards": "{max_shard_mb: 1.0e+305}"}, ["shards.max_shard_mb", "1e+305"]),
        ({"split": "{seed: .nan}"}, ["split.seed", "nan"]),
        ({"split": "{shares: {train: .nan}}"}, ["split.shares.train", "nan"]),
        ({"split": "{shares: {train: 2, val: -1}}"}, ["split", "-1"]),
        ({"split": "{shares: {../../x: 1}}"}, ["split", "'../../x'"]),
        ({"split": "{keep: 1}"}, ["split.keep", "true or false"]),
        ({"checks": "{dark: -4}"}, ["checks.dark", "-4"]),
        ({"checks": "{darkness: 4}"}, ["'darkness'", "'dark'"]),
        ({"sources": "[{logs: a, version: b}]"}, ["sources[0]", "'a'", "'b'"]),
        ({"sources": "[{logs: a, weight: -1}]"}, ["sources[0]", "-1"]),
        ({"version": "1.0"}, ["1.0", "major.minor.patch"]),
        ({"name": "../x"}, ["'../x'"]),
    ],
)
def test_a_message_names_file_key_and_value(keys, words, tmp_path):
    path = _recipe(tmp_path / "recipe.yaml", **keys)
    told = _told(path)
    assert all(word in told for word in [str(path), *words]), told


def test_lists_that_hold_themselves_a_billion_times_cost_nothing(tmp_path):
    path = tmp_path / "recipe.yaml"
    lines = ["name: tiny", "version: 1.0.0", "where:", "- &a [x, x, x, x, x, x]"]
    lines += [f"- &a {TWICE}"] * 12
    path.write_text("\n".join(lines))
    began = time.monotonic()
    told = _told(path)
    assert time.monotonic() - began < 5
    assert str(path) in told and len(told) < 4000


def test_what_is_no_file_is_no_recipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_text("#" * (1 << 20) + "\nname: tiny\n")
    for name, word in (("pipe", "no file"), ("large", "too large"), ("x", "cannot")):
        with pytest.raises(UserError, match=word):
            read_recipe(tmp_path / name)


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_trees = st.recursive(
    _scalars | st.dates() | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_scalars, inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.dictionaries(
        st.sampled_from([*KEYS, "nonsense"]),
        _trees
        | st.dictionaries(
            st.sampled_from([k for keys in SECTIONS.values() for k in keys]), _trees
        ),
        max_size=4,
    )
)
def test_any_yaml_is_a_recipe_or_one_message(tmp_path, content):
    path = tmp_path / "recipe.yaml"
    text = yaml.safe_dump({"name": "tiny", "version": "1.0.0", **content})
    path.write_text(text, errors="surrogatepass")
    told = _told(path)
    assert not told or str(path) in told


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    return write_logs(tmp_path_factory.mktemp("raw") / "logs", files=1, each=12)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"where": "nonsense > 5"}, "nonsense"),
        ({"where": "((("}, r"\(\(\("),
        ({"where": "read_text('/etc/passwd') = ''"}, "read_text"),
        ({"where": "success and not success"}, "no episode is left"),
        ({"release": "[nonsense]", "checks": "{dark: 255}"}, "nonsense"),
        ({"split": "{group: nonsense}"}, "'nonsense'"),
        ({"rebalance": "{strata: [nonsense]}"}, "'nonsense'"),
        ({"labels": "[nowhere.csv]"}, "nowhere.csv"),
        ({"sources": "[{version: nowhere}]"}, "nowhere"),
        ({"sources": "[{logs: 'nowhere/*.bag', mapping: m.yaml}]"}, "nowhere"),
    ],
)
def test_what_only_the_build_can_know_is_one_message_too(keys, words, logs, tmp_path):
    recipe = read_recipe(_recipe(tmp_path / "recipe.yaml", **keys)).recipe
    target = tmp_path / "data" / "tiny" / "1.0.0"
    with pytest.raises(UserError, match=words) as caught:
        build_version(Build(recipe, logs, target, local_options(1)))
    assert len(str(caught.value)) < 4000
    assert not target.exists()


def test_more_splits_than_there_are_numbers_for_are_refused():
    with pytest.raises(UserError, match="101 splits"):
        SplitConfig(shares={f"s{n}": 1 / 101 for n in range(101)})
    with pytest.raises(UserError, match="sum to nan"):
        SplitConfig(shares={"train": float("nan")})


def test_names_of_files_that_would_be_too_long_are_refused_by_their_length():
    Recipe("a" * 170, "1.0.0", "")
    for name, split in (("a" * 250, "train"), ("a" * 100, "b" * 81)):
        with pytest.raises(UserError, match="at most 180"):
            Recipe(name, "1.0.0", "", split=SplitConfig(shares={split: 1.0}))


def test_a_config_of_a_recipe_without_any_is_refused(tmp_path):
    file = read_recipe(_recipe(tmp_path / "recipe.yaml"))
    with pytest.raises(UserError, match="has no configs, so none is called 'zz'"):
        file.variant("zz")


def test_a_version_that_cannot_take_its_place_loses_nothing(
    logs, tmp_path, monkeypatch
):
    recipe = read_recipe(_recipe(tmp_path / "recipe.yaml", rebalance="off")).recipe
    target = tmp_path / "data" / "tiny" / "1.0.0"
    build = Build(recipe, logs, target, local_options(1), overwrite=True)
    before = build_version(build).digest

    def refused(one, other):
        raise PermissionError(errno.EPERM, "Operation not permitted", str(other))

    with monkeypatch.context() as patch:
        patch.setattr("thresher.pipelines.build.exchange", refused)
        with pytest.raises(UserError, match=r"Operation not permitted; what was there"):
            build_version(build)
    assert open_version(target).digest == before
    assert build_version(build).digest == before
