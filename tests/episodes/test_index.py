"""The index holds one row an episode, whatever order they arrive in."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from thresher.episodes.index import (
    index_row,
    index_table,
    iterate_rows,
    read_index,
    write_index,
)
from thresher.episodes.raw_log import EpisodePointer
from thresher.tests.episodes.tiny import tiny_episode


def _rows():
    return [
        index_row(
            tiny_episode(n, success=n == 1), EpisodePointer("a.mcap", 100 * n, 90), []
        )
        for n in range(3)
    ]


def test_rows_say_where_the_bytes_are_and_what_happened():
    row = _rows()[1]
    assert (row["file"], row["offset"], row["length_bytes"]) == ("a.mcap", 100, 90)
    assert (row["success"], row["episode_return"], row["num_steps"]) == ("yes", 1.0, 4)
    assert row["episode_id"] == tiny_episode(1, success=True).episode_id


def test_order_of_arrival_does_not_matter():
    rows = _rows()
    assert index_table(rows).equals(index_table(rows[::-1]))


def test_parquet_gives_the_same_table_back(tmp_path):
    table = index_table(_rows())
    write_index(table, tmp_path / "index.parquet")
    assert read_index(tmp_path / "index.parquet").equals(table)


@given(
    st.integers(1, 900), st.integers(1, 400), st.integers(0, 899), st.integers(0, 900)
)
def test_a_run_of_rows_is_that_run_wherever_blocks_end(
    tmp_path_factory, rows, block, start, count
):
    path = tmp_path_factory.mktemp("rows") / "index.parquet"
    pq.write_table(pa.table({"row": range(rows)}), path, row_group_size=block)
    found = [row["row"] for row in iterate_rows(path, start, count)]
    assert found == list(range(rows))[start : start + count]
