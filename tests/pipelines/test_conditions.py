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
        "flags": [[], ["dark"], [], []],
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
        ("success ~ 'y.*'", [0, 3]),
        ("lower(success) = 'yes'", [0, 3]),
        ("case success when 'no' then true else false end", [1]),
        ("case when success then length > 5 else false end", [3]),
        ("robot = 'sawyer' or (success and (length > 5))", [2, 3]),
        ("robot <> 'é' and Success -- not 'no'", [0, 3]),
        ("success in ('no', 'unknown') or success", [0, 1, 2, 3]),
        ("success is not null", [0, 1, 2, 3]),
        ("list_contains(flags, 'dark')", [1]),
        ("flags.list_contains('dark')", [1]),
        ("len(list_filter(flags, lambda f: f = 'dark')) > 0", [1]),
        ("flags[1] = 'dark'", [1]),
        ("split_part(robot, 'k', 1) = ''", [0, 1, 3]),
        ("num_steps % 2 = 1 and length::varchar = '2'", [0]),
        ("year(to_timestamp(num_steps)) = 1970", [0, 1, 2, 3]),
    ],
)
def test_rows_are_those_that_the_words_say(condition, rows):
    assert matching_rows(INDEX, condition, "where").tolist() == rows


def test_a_split_is_that_of_the_parent_unless_the_index_has_one():
    parents = INDEX.append_column("parent_split", pa.array(["train", None, "val", "x"]))
    assert matching_rows(parents, "Split = 'val'", "where").tolist() == [2]
    own = parents.append_column("split", pa.array(["val", "val", "x", "x"]))
    assert matching_rows(own, "split = 'val'", "where").tolist() == [0, 1]
    assert columns_of("SPLIT = 'val'", parents.column_names) == [
        *("success", "num_steps", "parent_split")
    ]


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


@pytest.mark.parametrize(
    ("condition", "undecided"),
    [
        ("random() < 0.5", "random()"),
        ("main.random() < 0.5", "random()"),
        ("uuid()::varchar > robot", "uuid()"),
        ("now() > to_timestamp(0)", "now()"),
        ("current_date > '2020-01-01'", "current_date"),
        ("localtimestamp > '2020-01-01'", "localtimestamp"),
        ("age(timestamp '2020-01-01') > interval 1 day", "age()"),
        ("current_setting('threads') = 2", "current_setting()"),
        ("list_transform([1], lambda x: random() < x)[1]", "random()"),
        ("_row < 2", "_row"),
        ("#1 = 'yes'", "positional reference"),
        ("columns(*) is not null", "star"),
        ("num_steps in (select 9)", "a subquery"),
        ("exists (from duckdb_settings())", "a subquery"),
        (
            "exists (select 1 from range(3000) a, range(3000) b, range(100000) c "
            "where a.range + b.range + c.range = -1)",
            "a subquery",
        ),
    ],
)
def test_what_the_columns_do_not_decide_is_refused(condition, undecided):
    with pytest.raises(UserError, match="columns do not decide") as error:
        matching_rows(INDEX, condition, "where")
    assert undecided in str(error.value)


@pytest.mark.parametrize(
    "condition", ["1/0", "num_steps", "robot", "null", "success::int"]
)
def test_what_is_no_question_of_yes_or_no_is_refused(condition):
    with pytest.raises(UserError, match="no yes or no"):
        matching_rows(INDEX, condition, "where")


@pytest.mark.parametrize(
    "condition",
    [
        "true) or (true), (false",
        "true) from duckdb_settings() where (true",
        "true) limit (1",
        "true) union select (true",
        "true); select (true",
        "1" + " + 1" * 900 + " > 0",
    ],
)
def test_what_is_more_than_an_expression_is_refused(condition):
    with pytest.raises(UserError, match="the condition .* cannot be used"):
        matching_rows(INDEX, condition, "where")


def test_an_interruption_of_the_database_is_one(monkeypatch):
    import duckdb

    def interrupted(*_):
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr(duckdb.DuckDBPyRelation, "fetchnumpy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        matching_rows(INDEX, "success", "where")


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
