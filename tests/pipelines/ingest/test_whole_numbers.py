"""Whole numbers beyond 2^53 stay what they are, wherever they meet decimals."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.pipelines.ingest.whole_numbers import (
    array_of,
    array_of_texts,
    joined,
)

LARGE = 2**53 + 1


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([LARGE, 1.0, 3], np.int64),
        ([[LARGE, 1.0], [2, 3]], np.int64),
        # A decimal makes it a column of decimals.
        ([LARGE, 0.5], np.float64),
        ([2.0**53, -0.0], np.float64),
        ([LARGE, np.inf], np.float64),
        ([1, 2.0], np.float64),
        ([LARGE, 1], np.int64),
    ],
)
def test_values_become_int64_only_where_a_whole_number_would_be_rounded(values, dtype):
    array = array_of(values)
    assert array.dtype == dtype
    if dtype == np.int64:
        assert array.tolist() == values


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ([str(LARGE), "1.0", "3"], [LARGE, 1, 3]),
        (["4.125824901525485e+16", "1"], [4.125824901525485e16, 1]),
        ([str(LARGE), "0.5"], [2.0**53, 0.5]),
        (["1e300", "1"], [1e300, 1]),
        ([str(2**53), "-0.0"], [2.0**53, 0]),
    ],
)
def test_texts_of_digits_alone_are_taken_by_them(texts, wanted):
    floats = np.array([float(text) for text in texts])
    assert array_of_texts(texts, floats).tolist() == wanted


def test_columns_of_two_types_are_joined_exactly():
    whole, decimal = np.array([[LARGE], [3]]), np.array([[1.0], [2.0]])
    assert joined([whole, decimal], axis=1).tolist() == [[LARGE, 1], [3, 2]]
    assert joined([whole, decimal + 0.5], axis=1).dtype == np.float64
