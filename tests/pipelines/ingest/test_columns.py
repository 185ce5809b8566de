"""A column holds its feature's values exactly, rounded to its type at most, or none."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.episodes.spec import FeatureSpec
from thresher.pipelines.ingest.columns import (
    ColumnError,
    differences,
    picked_column,
    shaped,
)
from thresher.pipelines.ingest.mapping import MappedFeature, Source
from thresher.pipelines.ingest.recording import Stream

LARGE = 2**53 + 1


def _shaped(arrays, dtype="float32", **source):
    arrays = [np.asarray(array) for array in arrays]
    spec = FeatureSpec("observation/x", (len(arrays),), dtype, "x")
    feature = MappedFeature(spec, Source(tuple("ab")[: len(arrays)], **source))
    return shaped(feature, arrays)


def test_a_whole_number_beside_a_decimal_is_not_rounded():
    assert _shaped([[LARGE, 3], [1.0, 2.0]], "int64").tolist() == [[LARGE, 1], [3, 2]]


@pytest.mark.parametrize(
    ("values", "dtype", "source", "message"),
    [
        ([1e300], "float32", {}, r"1e\+300 is no float32; say dtype: float64"),
        ([1e39, 3], "float32", {}, "1e[+]39 is no float32"),
        ([3.0], "float64", {"scale": 1e308}, "3.0 is more than any number when scaled"),
        ([3.0], "float32", {"scale": 1e300}, "no float32"),
        ([3.0, np.nan], "float32", {"not_finite": 1e300}, "no float32"),
        ([LARGE], "int64", {"offset": 1.0}, f"{LARGE} is scaled as a float64"),
        ([0.5], "int32", {}, "0.5 is no int32; say dtype: float32"),
    ],
)
def test_what_a_type_cannot_hold_is_refused(values, dtype, source, message):
    with pytest.raises(ColumnError, match=message):
        _shaped([values], dtype, **source)


def test_what_was_infinite_in_the_log_stays_for_the_contract_to_judge():
    column = _shaped([[np.inf, -np.inf, np.nan, 1.0]], scale=2.0)
    assert np.array_equal(column, [[np.inf], [-np.inf], [np.nan], [2]], equal_nan=True)


@pytest.mark.parametrize(
    ("dtype", "values", "message"),
    [
        ("uint8", [10, 5], "5 less 10 is no uint8"),
        ("float32", [-3e38, 3e38], "is no float32"),
        ("int64", [-(2**62) - 1, 2**62], "is no int64"),
    ],
)
def test_a_difference_that_its_type_cannot_hold_is_refused(dtype, values, message):
    spec = FeatureSpec("action", (), dtype, "x")
    with pytest.raises(ColumnError, match=message):
        differences(spec, np.array(values, dtype))


def test_differences_are_the_next_value_less_this_one():
    spec = FeatureSpec("action", (), "int32", "x")
    assert differences(spec, np.array([1, 4, 2], np.int32)).tolist() == [3, -2]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ["0,5", "-1", " 2,25e-3"],
            "'0,5'.*option decimal: comma.*else say dtype: str$",
        ),
        (["0,5", "left, right"], "holds texts; say dtype: str$"),
        (["5", "1,2,3"], "holds texts; say dtype: str$"),
        ([], "holds texts; say dtype: str$"),
    ],
)
def test_numbers_with_a_decimal_comma_are_told_from_texts(texts, message):
    spec = FeatureSpec("observation/x", (), "float32", "x")
    feature = MappedFeature(spec, Source(("a",)))
    stream = Stream(np.arange(len(texts)), np.array(texts, dtype=object))
    with pytest.raises(ColumnError, match=message):
        picked_column(feature, [(stream, np.arange(len(texts)))])
