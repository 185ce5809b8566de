"""Puts numbers of several types into one array without rounding whole ones.

NumPy makes float64 of whole numbers and decimals together, which rounds what is beyond
2^53. Where that changed a value and all of them are whole, they become int64.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Optional, Union

import numpy as np

# Beyond it, float64 does not hold every whole number.
_EXACT = 2.0**53
_LEAST, _MOST = -(2**63), 2**63 - 1


def may_be_rounded(numbers: np.ndarray) -> bool:
    """Whether an array is of float64 that may stand for other whole numbers."""
    if numbers.dtype != np.float64 or not numbers.size:
        return False
    # One question for nearly all arrays; where a NaN answers, each number is asked.
    if np.abs(numbers).max() < _EXACT:
        return False
    large = numbers[np.abs(numbers) >= _EXACT]
    return bool(np.isfinite(large).any())


def array_of(values: Sequence[Any]) -> np.ndarray:
    """Returns [N, …] of N numbers, lists or arrays of one shape."""
    array = np.array(values)
    if not may_be_rounded(array):
        return array
    return _whole_instead(array, np.array(values, dtype=object).flat)


def array_of_texts(texts: Sequence[str], numbers: np.ndarray) -> np.ndarray:
    """Returns float64 [N] that were read from texts, or int64 if those were rounded.

    Only digits alone mean a whole number: others stand for the nearest float64, as most
    programs write them.
    """
    if not may_be_rounded(numbers):
        return numbers
    return _whole_instead(numbers, [_parsed(text) for text in texts])


def joined(parts: Sequence[np.ndarray], axis: int = 0) -> np.ndarray:
    """Returns arrays of numbers or texts, joined along an axis."""
    whole = np.concatenate(parts, axis=axis)
    # Asked first, for it is quick and most messages hold decimals alone.
    if all(part.dtype.kind == "f" for part in parts) or not may_be_rounded(whole):
        return whole
    exact = np.concatenate([part.astype(object) for part in parts], axis=axis)
    return _whole_instead(whole, exact.flat)


def _whole_instead(rounded: np.ndarray, exact: Iterable[Any]) -> np.ndarray:
    found = [_whole(value) for value in exact]
    if None in found or all(a == int(b) for a, b in zip(found, rounded.flat)):
        return rounded
    return np.array(found, dtype=np.int64).reshape(rounded.shape)


def _whole(value: Any) -> Optional[int]:
    """Returns the int64 that a number is; None if it is none."""
    is_whole = _LEAST <= value <= _MOST and int(value) == value
    return int(value) if is_whole else None


def _parsed(text: str) -> Union[int, float]:
    digits = text.strip()
    is_whole = len(digits) <= 20 and digits.lstrip("+-").isdecimal()
    return int(digits) if is_whole else float(digits)
