"""What the columns of a text table hold, judged by their first cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from thresher.pipelines.ingest.delimited_pictures import looks_like_file
from thresher.pipelines.ingest.text_rows import EMPTY, POINTED, Dialect

NUMBERS = ("number", "whole number", "truth")
# Cells of other kinds are taken as texts first.
ARROW_KINDS = {"number": pa.float64(), "whole number": pa.int64()}
_TRUTHS = ("true", "false")
_WITH_COMMAS = Dialect(decimal=",")


def kind_of(values: Sequence[Any], dialect: Dialect = POINTED) -> str:
    """Returns what a column holds, by its first values.

    Args:
      values: Texts, or values of JSON.
      dialect: How numbers that are texts are written.
    """
    told = [v for v in values if v is not None and v not in EMPTY]
    is_text = all(isinstance(v, str) for v in told)
    if told and is_text and all(looks_like_file(v) for v in told):
        return "picture"
    if is_text:
        told = [dialect.pointed_text(text) for text in told]
    if not all(not isinstance(v, str) or _is_number(v) for v in told):
        return "text"
    # What is always empty at first may be numbers later, and empty cells are none.
    if told and is_text and all(_is_whole(v) for v in told):
        return "whole number"
    if told and is_text and all(v.strip().lower() in _TRUTHS for v in told):
        return "truth"
    return "number"


def has_decimal_commas(values: Sequence[Any]) -> bool:
    """Whether values are numbers if a comma stands before their decimals."""
    told = [v for v in values if v is not None and v not in EMPTY]
    is_text = all(isinstance(v, str) for v in told)
    has_any = is_text and any("," in v for v in told)
    return has_any and kind_of(told, _WITH_COMMAS) == "number"


def _is_whole(text: str) -> bool:
    digits = text.strip()
    is_plain = digits.lstrip("-").isdecimal() and digits.isascii()
    return is_plain and -(2**63) <= int(digits) < 2**63


def _is_number(text: str) -> bool:
    if text.strip().lower() in _TRUTHS:
        return True
    try:
        float(text)
    except ValueError:
        return False
    # Python reads digits joined by underscores; no table means them.
    return "_" not in text
