"""JSON that says two things at once is refused."""

from __future__ import annotations

import sys

import pytest

from thresher.pipelines.ingest.message_decoders import DecodeError, json_decoder
from thresher.pipelines.ingest.strict_json import flattened, parsed


def test_what_says_one_thing_is_read():
    assert parsed(b'{"a": [1, {"b": null}], "c": {"a": 2.5}}') == {
        "a": [1, {"b": None}],
        "c": {"a": 2.5},
    }
    assert flattened({"a": 1, "b": {"c": 2, "d": {"e": 3}}}) == {
        "a": 1,
        "b/c": 2,
        "b/d/e": 3,
    }


def test_a_key_that_is_written_twice_is_named():
    with pytest.raises(ValueError, match="the key 'b' is written twice"):
        parsed('{"a": {"b": 1, "b": 1}}')
    with pytest.raises(DecodeError, match="written twice"):
        json_decoder()(b'{"a": 1, "a": 2}')


def test_two_values_of_one_path_are_named():
    with pytest.raises(ValueError, match="two values have the path 'b/c'"):
        flattened({"b/c": 1, "b": {"c": 2}})


@pytest.mark.skipif(
    not hasattr(sys, "get_int_max_str_digits"), reason="this Python takes any number"
)
def test_a_number_of_too_many_digits_is_said_in_our_words():
    with pytest.raises(ValueError, match="thousands of digits; no type") as caught:
        parsed(b"1" * 5000)
    assert "sys." not in str(caught.value)
