"""Conditions say what people mean, and reach nothing but the index."""

from __future__ import annotations

import pyarrow as pa
import pytest

from thresher.episodes.errors import UserError
from thresher.pipelines.conditions import columns_of, matching_rows, plain_sql

INDEX = pa.table(
    {
        "success": ["yes", "no", "unknown", "yes"],
        "num_steps": [3, 9, 9, 9],
        "robot": ["kuka", "kuka", "sawyer", "kuka"],
    }
)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("", [0, 1, 2, 3]),
        ("success and length > 5 and robot == 'kuka'", [3]),
        ("success = 'no'", [1]),
        ("success != 'yes'", [1, 2]),
        ("not success", [1, 2]),
        ("(success) or robot = 'sawyer'", [0, 2, 3]),
        ("success in ('no', 'unknown')", [1, 2]),
        ("success not in ('no', 'unknown')", [0, 3]),
        ("success LIKE 'y%'", [0, 3]),
        ("'success' = 'success' and length = 2", [0]),
        ("'no' = success", [1]),
        ("robot = 'success'", []),
        ("length BETWEEN 2 AND 8", [0, 1, 2, 3]),
    ],
)
def test_rows_are_those_that_the_words_say(condition, rows):
    assert matching_rows(INDEX, condition, "where").tolist() == rows


@pytest.mark.parametrize(
    "condition",
    [
        "nothing > 1",
        "success; DROP TABLE x",
        "robot = (SELECT content FROM read_text('/etc/hostname'))",
        "length > 'many'",
        "(((",
    ],
)
def test_what_cannot_be_asked_is_told_with_its_place(condition):
    with pytest.raises(UserError, match=r"where of the recipe: the condition"):
        matching_rows(INDEX, condition, "where of the recipe")


def test_only_columns_that_a_condition_names_are_read():
    known = ["robot", "task", "success", "num_steps"]
    assert columns_of("robot = 'a' and length > 1", known) == [
        "robot",
        "success",
        "num_steps",
    ]


def test_quoted_words_stay_as_they_are():
    assert plain_sql("task = 'success and more'") == "task = 'success and more'"
    assert plain_sql("\"success\" = 'no'") == "\"success\" = 'no'"
