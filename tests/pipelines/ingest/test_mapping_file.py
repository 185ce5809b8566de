"""Mappings: what is read, and that every mistake is named with its way out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from thresher.episodes.errors import UserError
from thresher.episodes.metadata import BehaviourKind
from thresher.pipelines.ingest.mapping import Label, Reward
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.tests.pipelines.ingest.tiny_logs import ARM_MAPPING, write_mapping

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples").glob("*.yaml"))


def _load(tmp_path, **changes):
    raw = yaml.safe_load(ARM_MAPPING)
    for key, value in changes.items():
        if value is None:
            raw.pop(key)
        else:
            raw[key] = value
    return load_mapping(write_mapping(tmp_path, yaml.safe_dump(raw)))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_a_mapping(example):
    assert load_mapping(example).spec.observation


def test_a_mapping_says_the_spec_of_its_episodes(tmp_path):
    mapping = _load(tmp_path)
    spec = mapping.spec
    assert [f.name for f in spec.features] == ["observation/q", "action", "timestamp"]
    assert spec["observation/q"].unit == "rad"
    assert spec["observation/q"].shape == (2,)
    assert spec["action"].dtype == "float64"
    assert spec.step_seconds == 0.1
    assert mapping.behaviour_kind == BehaviourKind.TELEOPERATED
    assert mapping.fields() == ["/state.q", "/command.dq"]


def test_the_rate_is_the_time_between_steps(tmp_path):
    mapping = _load(tmp_path, step_seconds=None, clock={"rate_hz": 20})
    assert mapping.spec.step_seconds == 0.05


def test_several_fields_are_one_vector_and_actions_may_have_parts(tmp_path):
    mapping = _load(
        tmp_path,
        features={"observation/x": {"from": ["/a.x", "/b.x"]}},
        action={"parts": {"arm": {"from": "/c.x"}, "hand": {"next_of": "/b.x"}}},
    )
    assert mapping.spec["observation/x"].shape == (2,)
    assert mapping.features[1].spec.name == "action/arm"
    assert mapping.features[1].source.align == "latest-before-next"
    assert mapping.features[2].derivation == "next_of"
    assert mapping.features[2].source.align == "latest-before"


def test_success_brings_a_reward_unless_another_is_named(tmp_path):
    assert _load(tmp_path).reward == Reward("none")
    success = {"attribute": "ok"}
    assert _load(tmp_path, success=success).reward == Reward("success")
    field = {"field": "/r.x", "given_with": "next_observation"}
    reward = _load(tmp_path, success=success, reward=field).reward
    assert reward == Reward("field", "/r.x", "next_observation")


def test_labels_are_constants_fields_or_attributes(tmp_path):
    mapping = _load(
        tmp_path,
        task="lift",
        language={"field": "/says.text", "at": "first"},
        success=True,
        objects=["cup", {"attribute": "object"}],
    )
    assert mapping.task == Label(constant="lift")
    assert mapping.language == Label(field="/says.text", at="first")
    assert mapping.success == Label(constant=True)
    assert mapping.objects == (Label(constant="cup"), Label(attribute="object"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, "name: is missing"),
        ({"name": 7}, r"name \(now 7\): must be a text"),
        ({"colour": 1}, r"colour \(now 1\): is not a key here"),
        ({"feature": 1}, "did you mean 'features'"),
        ({"step_seconds": None}, "step_seconds: is missing"),
        (
            {"step_seconds": None, "steps_seconds": 1},
            "step_seconds: is missing; 'steps_seconds' is there instead",
        ),
        ({"features": None, "feature": {}}, "'feature' is there instead"),
        ({"step_seconds": 0}, "above zero"),
        ({"step_seconds": 1e300}, r"now 1e\+300\): must be from 1e-09 to 1e\+09"),
        ({"step_seconds": 1e-10}, "must be from 1e-09"),
        ({"clock": {"rate_hz": 1e12}, "step_seconds": None}, "rate_hz .*must be from"),
        ({"clock": {"stream": "/q", "max_gap_seconds": 1e300}}, "must be from 0 to"),
        ({"step_seconds": float("nan")}, "must be a number, not nan"),
        ({"clock": {"rate_hz": 20}}, "contradicts clock.rate_hz of 20"),
        ({"clock": {}}, "clock.stream: name a field"),
        ({"clock": {"rate_hz": 10, "time": "heder"}}, "did you mean 'header'"),
        ({"clock": {"rate_hz": 10, "on_gap": "split"}}, "max_gap_seconds: 0.5"),
        ({"features": None}, "features: is missing"),
        ({"features": []}, "must be a table"),
        ({"features": {"action": {"from": "/a"}}}, "under the key action"),
        ({"features": {"observation/q": None}}, "is empty"),
        ({"features": {"observation/q": {}}}, "by one of: from"),
        ({"features": {"observation/q": {"from": 3}}}, "a text or a list of texts"),
        ({"features": {"observation/q": {"next_of": "/a.x"}}}, "is for actions"),
        ({"features": {"Observation": {"from": "/a.x"}}}, "lower-case words"),
        ({"features": {"q": {"from": "/a.x"}}}, "at least one 'observation/"),
        ({"robot": ["a"]}, "must be a text"),
        ({"behaviour": {"kind": "human"}}, "must be one of random"),
        ({"behaviour": {"kin": "human"}}, r"behaviour.kin.*did you mean 'kind'"),
        ({"episodes": {"by": "value"}}, "watches a field"),
        ({"episodes": {"by": "value", "field": "/a.x"}}, "begins an episode"),
        ({"episodes": {"by": "gap"}}, "how long a silence"),
        ({"episodes": {"by": "message"}}, "the topic that begins"),
        ({"episodes": {"min_steps": 1}}, "must be 2 or more"),
        ({"success": {"field": "/a", "attribute": "b"}}, "give one of"),
        ({"success": {"attribute": "a", "matches": "("}}, "no regular expression"),
        ({"success": True, "reward": "none"}, "success stays unknown"),
        ({"reward": "success"}, "success is not said anywhere"),
        ({"reward": {"fields": "/a"}}, "reward.field: is missing"),
        ({"ending": "success"}, "success is not said anywhere"),
        ({"ending": "never"}, "must be time_out"),
        ({"alignment": "rdls"}, "did you mean 'rlds'"),
    ],
)
def test_a_mistake_is_named_with_file_key_and_remedy(tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        _load(tmp_path, **changes)
    assert str(tmp_path / "m.yaml") in str(caught.value)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({"align": "nearest"}, "needs tolerance_seconds"),
        ({"align": "newest"}, "must be one of latest-before"),
        ({"shape": [0]}, "whole numbers above zero"),
        ({"shape": [2], "labels": ["x"]}, "1 labels"),
        ({"dtype": "float16"}, "must be one of float32"),
        ({"dtype": "str", "scale": 2.0}, "only numbers"),
        ({"dtype": "str", "align": "interpolate"}, "only numbers"),
        ({"encoding": "jpeg"}, "is for uint8 images"),
        ({"resize": True}, "is for pictures"),
        ({"scale": "two"}, "must be a number"),
        ({"minimum": [1, "a"]}, "must be a number"),
        ({"tolerance_seconds": -1}, "above zero"),
    ],
)
def test_a_mistake_in_a_feature_is_named_with_its_path(tmp_path, feature, message):
    with pytest.raises(UserError, match=message) as caught:
        _load(tmp_path, features={"observation/q": {"from": "/a.x", **feature}})
    assert "features.observation/q" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a table"),
        ("- 1", "not a table"),
        ("a: [", "is no YAML"),
        ("name: a\nname: b", "written twice"),
        ("a: !!python/object:os.system {}", "is no YAML"),
        ("\tname: a", "is no YAML"),
    ],
)
def test_what_is_no_mapping_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load_mapping(write_mapping(tmp_path, text))


@pytest.mark.parametrize(
    ("key", "table"),
    [("success_values", "success"), ("open_end", "episodes"), ("late", "clock")],
)
def test_a_key_that_stands_a_table_too_high_is_told_where_it_belongs(
    tmp_path, key, table
):
    with pytest.raises(UserError, match=f"stands inside {table}: ") as caught:
        _load(tmp_path, **{key: "x"})
    known = str(caught.value).partition("known: ")[2].split(", ")
    assert len(known) == len(set(known)) > 10


def test_a_mapping_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot read the mapping"):
        load_mapping(tmp_path / "none.yaml")


def test_comments_do_not_change_the_digest_and_every_key_does(tmp_path):
    plain = load_mapping(write_mapping(tmp_path, ARM_MAPPING))
    said = load_mapping(write_mapping(tmp_path, "# why\n" + ARM_MAPPING))
    assert plain.digest() == said.digest()
    others = [
        _load(tmp_path, robot="other"),
        _load(tmp_path, step_seconds=0.2),
        _load(tmp_path, ending="terminal"),
        _load(tmp_path, clock={"stream": "/state.q", "late": "drop"}),
    ]
    digests = {mapping.digest() for mapping in [plain, *others]}
    assert len(digests) == 5


def test_a_list_that_holds_itself_a_billion_times_is_refused_at_once(tmp_path):
    lists = "x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    for text in (lists, "success: &a [*a]\n", "features: &a {x: *a}\n"):
        file = write_mapping(tmp_path, text + ARM_MAPPING)
        with pytest.raises(UserError, match=r"20,000 values|is no YAML|written twice"):
            load_mapping(file)


def test_a_mapping_that_is_no_file_or_no_plain_text_is_refused(tmp_path):
    with pytest.raises(UserError, match="/dev/zero is no file; name the YAML file"):
        load_mapping(Path("/dev/zero"))
    with pytest.raises(UserError, match="cannot read the mapping"):
        load_mapping(tmp_path / "none.yaml")
    for text, rule in (
        ("minimum: .nan", "must be a number, not nan"),
        ("x" * (1 << 20 | 1), "is too large for a mapping"),
    ):
        with pytest.raises(UserError, match=rule):
            load_mapping(write_mapping(tmp_path, text))


def test_a_mistake_in_a_feature_names_its_file_once(tmp_path):
    feature = {"from": "/state.q", "unit": ["m"]}
    with pytest.raises(
        UserError, match=r"unit \(now \['m'\]\): must be a text"
    ) as told:
        _load(tmp_path, features={"observation/q": feature})
    assert str(told.value).count("m.yaml") == 1
