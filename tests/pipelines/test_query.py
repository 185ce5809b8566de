"""A version's index answers questions in SQL."""

from __future__ import annotations

import pytest

from thresher.episodes.errors import UserError
from thresher.pipelines.build import build_version
from thresher.pipelines.query import episodes_of, episodes_where
from thresher.tests.pipelines.test_build import _build, write_logs


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    root = tmp_path_factory.mktemp("query")
    return build_version(_build(root, write_logs(root / "logs")))


def test_the_index_answers_sql(version):
    some = episodes_where(
        version.index, "success = 'yes' AND num_steps > 2", ["episode_id", "success"], 3
    )
    assert some.column_names == ["episode_id", "success"]
    assert some.num_rows == 3
    assert set(some["success"].to_pylist()) == {"yes"}
    assert episodes_where(version.index).equals(version.index)


def test_a_version_is_asked_by_the_columns_that_matter_alone(version):
    condition, columns = "success and length > 1", ["split", "episode_id"]
    everything = episodes_where(version.index, condition, columns, 4)
    assert everything.num_rows == 4
    assert episodes_of(version, condition, columns, 4).equals(everything)


@pytest.mark.parametrize(
    ("condition", "columns", "words"),
    [
        ("sucess = 'yes'", [], "columns are length, episode_id"),
        ("", ["sucess"], "did you mean 'success'"),
        ("1; DROP TABLE x", [], "cannot be used"),
        ("success IN (SELECT content FROM read_text('/etc/hostname'))", [], "cannot"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(version, condition, columns, words):
    with pytest.raises(UserError, match=words):
        episodes_where(version.index, condition, columns)
    with pytest.raises(UserError, match=words):
        episodes_of(version, condition, columns or ["episode_id"])
