"""The index of all sources holds every row of theirs, in order, in few blocks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.episodes.index import INDEX_SCHEMA, ROW_GROUP_ROWS, write_index
from thresher.pipelines.index_logs import unreadable_row
from thresher.pipelines.sources import Source, merge_indexes

_ROW = unreadable_row("a.mcap", 0, 0, "", "")


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([0, 1, 50, 1500, 4096, 9000]), max_size=9),
        min_size=1,
        max_size=2,
    )
)
def test_small_indexes_are_joined_into_few_blocks(rows):
    sources = [Source(str(number), Path("/logs")) for number in range(len(rows))]
    with tempfile.TemporaryDirectory() as folder:
        indexes = [
            [_index(Path(folder, f"{n}.{k}"), k, count) for k, count in enumerate(each)]
            for n, each in enumerate(rows)
        ]
        merged = Path(folder, "index.parquet")
        total = sum(map(sum, rows))
        assert merge_indexes(sources, indexes, merged) == total
        table = pq.read_table(merged, columns=["row", "source", "offset"])
        blocks = pq.read_metadata(merged).num_row_groups
    assert table["row"].to_pylist() == list(range(total))
    wanted = [
        (number, log)
        for number, each in enumerate(rows)
        for log, count in enumerate(each)
        for _ in range(count)
    ]
    found = zip(table["source"].to_pylist(), table["offset"].to_pylist())
    assert list(found) == wanted
    # Two neighbours fill a block, but for the rest of an index higher than one.
    high = sum(count > ROW_GROUP_ROWS for each in rows for count in each)
    assert blocks <= high + sum(2 * sum(each) // ROW_GROUP_ROWS + 1 for each in rows)


def test_no_block_is_left_over_between_two(tmp_path):
    indexes = [_index(tmp_path / str(log), log, 50) for log in range(170)]
    merged = tmp_path / "index.parquet"
    merge_indexes([Source("logs", tmp_path)], [indexes], merged)
    facts = pq.read_metadata(merged)
    blocks = [facts.row_group(n).num_rows for n in range(facts.num_row_groups)]
    assert blocks == [4050, 4050, 400]


def _index(path: Path, log: int, count: int) -> Path:
    rows = [{**_ROW, "offset": log}] * count
    write_index(pa.Table.from_pylist(rows, schema=INDEX_SCHEMA), path)
    return path
