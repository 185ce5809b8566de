"""A plan's file holds its rows of the index, in its order, however it is cut."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.pipelines import write_plan as write_plan_module
from thresher.pipelines.plan import PlanConfig, make_plan
from thresher.pipelines.write_plan import write_plan


def _written(count, copies, seed, most_blocks, group_rows):
    """Returns a random plan, what was written of it, and the index."""
    rng = np.random.default_rng(seed)
    index = pa.table(
        {
            "row": np.arange(count),
            "episode_id": [f"episode {n}" for n in range(count)],
            "object_ids": pa.array([[str(n)] * (n % 3) for n in range(count)]),
            "summary": pa.array(
                [None if n % 2 else bytes(n % 7) for n in range(count)], pa.binary()
            ),
        }
    )
    often = rng.integers(0, copies + 1, count)
    rows = np.flatnonzero(often)
    if not rows.size:
        often[0], rows = 1, np.zeros(1, np.int64)
    plan = make_plan(
        rows,
        rng.integers(0, 1 << 60, (rows.size, 2), dtype=np.uint64),
        rng.integers(0, 2, rows.size),
        rng.integers(1, 100, rows.size),
        often[rows],
        ["train", "val"],
        PlanConfig(num_shards=3),
    )
    weights = rng.uniform(0, 1, count)
    flags = {row: [f"flag of {row}"] for row in range(0, count, 5)}
    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder, "index.parquet"), Path(folder, "plan.parquet")
        pq.write_table(index, source, row_group_size=group_rows)
        write_plan(plan, source, weights, flags, path, most_blocks)
        assert sorted(p.name for p in Path(folder).iterdir()) == [
            "index.parquet",
            "plan.parquet",
        ]
        return plan, pq.read_table(path), index, weights, flags


def _check(plan, table, index, weights, flags):
    assert table.num_rows == len(plan.rows)
    for name in ("episode_id", "object_ids", "summary"):
        assert table[name].to_pylist() == index[name].take(plan.rows).to_pylist()
    for name in ("shard", "num_shards", "position", "copy"):
        assert table[name].to_pylist() == getattr(plan, name).tolist()
    names = [plan.split_names[number] for number in plan.split]
    assert table["split"].to_pylist() == names
    assert table["sampling_weight"].to_pylist() == weights[plan.rows].tolist()
    assert table["flags"].to_pylist() == [flags.get(r, []) for r in plan.rows.tolist()]
    assert "row" not in table.column_names and "place" not in table.column_names


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 60),
    copies=st.integers(1, 3),
    seed=st.integers(0, 99),
    group_rows=st.integers(1, 70),
)
def test_a_plan_is_written_in_its_order(count, copies, seed, group_rows):
    _check(*_written(count, copies, seed, 256, group_rows))


def test_many_blocks_are_one_order():
    plan, table, *rest = _written(20_000, 3, 7, 4, 1000)
    assert len(plan.rows) > 2 * 4096
    _check(plan, table, *rest)


def test_repeated_rows_are_gathered_in_parts(monkeypatch):
    monkeypatch.setattr(write_plan_module, "_PART_BYTES", 500)
    _check(*_written(300, 50, 5, 256, 100))


def test_what_a_killed_build_left_is_removed(tmp_path):
    (tmp_path / ".plan.parquet.blocks").mkdir()
    (tmp_path / ".plan.parquet.blocks" / "0").write_bytes(b"half of it")
    index, path = tmp_path / "index.parquet", tmp_path / "plan.parquet"
    pq.write_table(pa.table({"row": [0], "episode_id": ["a"]}), index)
    ids, one = np.zeros((1, 2), np.uint64), np.ones(1, np.int64)
    plan = make_plan(one - 1, ids, one - 1, one, one, ["train"], PlanConfig())
    write_plan(plan, index, np.ones(1), {}, path)
    assert pq.read_table(path)["episode_id"].to_pylist() == ["a"]
    assert not (tmp_path / ".plan.parquet.blocks").exists()


def test_the_bytes_do_not_depend_on_the_blocks_of_the_index(tmp_path):
    same = [_written(9000, 2, 3, 256, rows)[1] for rows in (777, 9000)]
    assert same[0].equals(same[1])
