"""One spec states an array; it validates, samples and survives JSON."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.episodes.errors import UserError
from thresher.episodes.images import EncodedImages
from thresher.episodes.spec import EpisodeSpec, FeatureSpec
from thresher.tests.episodes.tiny import TINY_SPEC

_NUMBERS = ("float32", "float64", "uint8", "int32", "int64", "bool", "str")


@st.composite
def features(draw) -> FeatureSpec:
    dtype = draw(st.sampled_from(_NUMBERS))
    shape = tuple(draw(st.lists(st.integers(1, 4), max_size=3)))
    bounded = dtype in ("float32", "float64", "int32") and draw(st.booleans())
    return FeatureSpec(
        name="observation/x",
        shape=shape,
        dtype=dtype,
        doc="Drawn.",
        minimum=-2 if bounded else None,
        maximum=3 if bounded else None,
    )


@settings(max_examples=60, deadline=None)
@given(feature=features(), seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5))
def test_samples_keep_every_rule_of_their_spec(feature, seed, count):
    column = feature.sample(np.random.default_rng(seed), count)
    assert column.shape == (count, *feature.shape)
    assert feature.problems(column) == []


def test_image_samples_are_encoded_and_legal():
    image = TINY_SPEC["observation/image"]
    column = image.sample(np.random.default_rng(0), 3)
    assert isinstance(column, EncodedImages)
    assert image.problems(column) == []


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (np.zeros((3, 2), np.float32), "shape [2]"),
        (np.zeros((3, 1), np.float64), "float64"),
        (np.array([[0.5], [np.nan]], np.float32), "not finite at step 1"),
        (np.array([[0.5], [1.5]], np.float32), "above its maximum 1.0 at step 1"),
        (np.array([[-0.5]], np.float32), "below its minimum 0.0 at step 0"),
    ],
)
def test_problems_name_the_rule_and_the_value(column, words):
    (problem,) = TINY_SPEC["observation/height"].problems(column)
    assert words in problem
    assert "observation/height" in problem


def test_bounds_may_differ_along_the_last_axis():
    feature = FeatureSpec(
        "action", (2,), "float32", "Two.", minimum=(-1.0, 0.0), maximum=(1.0, 5.0)
    )
    assert feature.problems(np.array([[-1, 5]], np.float32)) == []
    (problem,) = feature.problems(np.array([[-1, 5], [0, -0.5]], np.float32))
    assert "step 1" in problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Observation/X"}, "lower-case"),
        ({"name": "a__b"}, "single underscores"),
        ({"dtype": "float31"}, "'float32'"),
        ({"encoding": "pnk"}, "'png'"),
        ({"encoding": "png"}, "uint8 images"),
        ({"labels": ("a", "b")}, "2 labels"),
    ],
)
def test_an_impossible_feature_is_refused_with_the_remedy(change, words):
    good = FeatureSpec("observation/height", (1,), "float32", "Height.")
    with pytest.raises(UserError) as refusal:
        dataclasses.replace(good, **change)
    assert words in str(refusal.value)


def test_json_gives_the_same_spec_and_digest_back():
    again = EpisodeSpec.from_json(TINY_SPEC.to_json())
    assert again == TINY_SPEC
    assert again.digest() == TINY_SPEC.digest()


def test_any_change_changes_the_digest():
    slower = dataclasses.replace(TINY_SPEC, step_seconds=0.2)
    assert slower.digest() != TINY_SPEC.digest()


def test_unknown_features_are_named_with_near_matches():
    with pytest.raises(UserError, match="did you mean 'observation/height'"):
        TINY_SPEC["observation/heigt"]


def test_standard_features_are_not_stated_twice():
    reward = FeatureSpec("reward", (), "float32", "Mine.")
    with pytest.raises(UserError, match="'reward' twice"):
        EpisodeSpec("twice", (reward,), 0.1)


@pytest.mark.parametrize(
    ("bounds", "shape", "words"),
    [
        ({"minimum": (1, 2, 3)}, (2,), "3 numbers in minimum for the last axis"),
        ({"maximum": (1, 2)}, (), "2 numbers in maximum for the last axis"),
        ({"minimum": 5, "maximum": 1}, (), "minimum 5 is above maximum 1"),
        ({"minimum": (0, 2), "maximum": 1}, (2,), "is above maximum"),
    ],
)
def test_bounds_that_no_value_could_keep_are_refused(bounds, shape, words):
    with pytest.raises(UserError, match=words):
        FeatureSpec("observation/x", shape, "float32", "x", **bounds)


@pytest.mark.parametrize(
    ("dtype", "bounds", "values", "is_legal"),
    [
        ("uint8", {"minimum": -1.0}, [0, 255], True),
        ("int32", {"minimum": 0.5}, [0], False),
        ("float32", {"maximum": 0.1}, [0.1], True),
        ("float32", {"minimum": (0.0, 1.0), "maximum": (0.0, 2.0)}, [[0, 2]], True),
    ],
)
def test_bounds_are_compared_as_numbers(dtype, bounds, values, is_legal):
    column = np.asarray(values, dtype)
    feature = FeatureSpec("observation/x", column.shape[1:], dtype, "x", **bounds)
    assert (feature.problems(column) == []) == is_legal


def test_a_feature_is_no_folder_of_others():
    features = tuple(
        FeatureSpec(name, (), "float32", "x")
        for name in ("observation/a_b", "observation/a", "observation/a/b")
    )
    with pytest.raises(UserError, match="'observation/a' cannot hold both .*a/b"):
        EpisodeSpec("x", features, 0.1)
