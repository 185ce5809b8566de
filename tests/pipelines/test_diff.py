"""Two versions are told apart by what a user would ask of them."""

from __future__ import annotations

import dataclasses
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thresher.episodes.version import EPISODES, open_version
from thresher.pipelines.build import build_version
from thresher.pipelines.diff import diff
from thresher.tests.pipelines.test_build import _build, write_logs


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    root = tmp_path_factory.mktemp("diff")
    return build_version(_build(root, write_logs(root / "logs")))


@pytest.fixture
def with_rows(version, tmp_path):
    def made(rows):
        folder = shutil.copytree(version.path, tmp_path / "other")
        table = pa.Table.from_pylist(rows, schema=version.index.schema)
        pq.write_table(table, folder / EPISODES)
        return open_version(folder)

    return made


def test_a_version_does_not_differ_from_itself(version):
    same = diff(version, version)
    assert not same
    assert list(same.sentences()) == []


def test_what_was_added_and_removed_is_told(version, with_rows):
    rows = version.index.to_pylist()
    fewer = with_rows(rows[2:])
    gone = tuple(sorted(row["episode_id"] for row in rows[:2]))
    assert diff(version, fewer).removed == gone
    assert diff(fewer, version).added == gone
    assert "2 episodes removed: " in next(diff(version, fewer).sentences())


def test_labels_splits_and_repetitions_are_told(version, with_rows):
    rows = version.index.to_pylist()
    other = {"yes": "no", "no": "yes"}[rows[0]["success"]]
    changed = [
        {**rows[0], "success": other},
        {**rows[1], "split": "somewhere"},
        rows[2],
        rows[2],
        *rows[3:],
    ]
    found = diff(version, with_rows(changed))
    first, second, third = (row["episode_id"] for row in rows[:3])
    assert found.relabelled == {first: (("success", rows[0]["success"], other),)}
    assert found.moved == {second: (rows[1]["split"], "somewhere")}
    assert found.repeated == {third: (1, 2)}
    told = "\n".join(found.sentences())
    assert f"{first} relabelled: success" in told
    assert "success in somewhere: 0 of 0 → " in told


def test_many_changes_do_not_fill_the_screen(version, with_rows):
    rows = [{**row, "confidence": 0.5} for row in version.index.to_pylist()]
    told = list(diff(version, with_rows(rows)).sentences())
    assert len(told) == 6
    assert told[-1] == f"… and {len(rows) - 5} more relabelled"


def test_features_are_compared_field_by_field(version):
    first, *others = version.spec.features
    spec = dataclasses.replace(
        version.spec, features=(dataclasses.replace(first, unit="km"), *others[:-1])
    )
    told = diff(version, dataclasses.replace(version, spec=spec)).features
    assert f"feature {others[-1].name} removed" in told
    assert any(line.startswith(f"feature {first.name}: unit ") for line in told)
