"""The episode index while a version is being chosen: what is in, what is out, and why.

Strings stay in the index file; here are a few numbers an episode (about 60 bytes), so
that ten million episodes take less than a gibibyte.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thresher.episodes.errors import unknown_name
from thresher.episodes.index import read_index
from thresher.episodes.memory import release_memory
from thresher.pipelines.rebalance import OUTCOMES
from thresher.pipelines.stable_hash import id_words

KEPT = 0
# Not out: a parent's repetition of an episode that is in, counted in its `copies`.
COUNTED = -1
_BATCH_ROWS = 8192


@dataclasses.dataclass
class Workbench:
    """Every row of an index, with what was decided about it so far.

    Attributes:
      path: The numbered index.
      ids: uint64 [N, 2]; all zeros where an episode cannot be read.
      outcome: Success as `rebalance.OUTCOMES` codes it, int8 [N].
      source: Number of the row's source, int32 [N].
      num_steps: int32 [N].
      size: Bytes that the episode takes, int64 [N].
      split: Number of the split, int8 [N].
      split_names: By that number.
      copies: How often the episode is written, 0 for not at all, int64 [N].
      weight: Sampling weight, float64 [N].
      parent_copy: Which repetition a parent's record is, 0 for none, int32 [N].
      stage: 0 where an episode is in, -1 where a row is counted as a copy of one, else
        1 + number of the stage that took it out.
      stages: Names of those stages, in order.
      reasons: Why, by row, for stages whose reasons differ from row to row.
      stage_reasons: Why, by stage, for the others.
      flags: What checks saw in episodes that are in, by row.
    """

    path: Path
    ids: np.ndarray
    outcome: np.ndarray
    source: np.ndarray
    num_steps: np.ndarray
    size: np.ndarray
    split: np.ndarray
    split_names: list[str]
    copies: np.ndarray
    weight: np.ndarray
    parent_copy: np.ndarray
    stage: np.ndarray
    stages: list[str] = dataclasses.field(default_factory=list)
    reasons: dict[int, str] = dataclasses.field(default_factory=dict)
    stage_reasons: dict[str, str] = dataclasses.field(default_factory=dict)
    flags: dict[int, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    @property
    def kept(self) -> np.ndarray:
        """Rows that are in, int64 [K]."""
        return np.flatnonzero(self.stage == KEPT)

    def rows_of(self, split: str) -> np.ndarray:
        """Returns the rows of a split that are in."""
        if split not in self.split_names:
            return np.zeros(0, np.int64)
        number = self.split_names.index(split)
        return np.flatnonzero((self.stage == KEPT) & (self.split == number))

    def forget_numbers(self) -> None:
        """Lets go of what planning needs; who is in, and why others are not, stays."""
        for field in dataclasses.fields(self):
            column = getattr(self, field.name)
            if isinstance(column, np.ndarray) and field.name != "stage":
                setattr(self, field.name, column[:0].copy())

    def exclude(self, rows: Sequence[int] | np.ndarray, stage: str, why: str) -> None:
        """Takes rows out, all for one reason: 'rule: what was found'."""
        if len(rows):
            self.stage_reasons[stage] = why
            self._take_out(np.asarray(rows), stage)

    def exclude_each(self, reasons: Mapping[int, str], stage: str) -> None:
        """Takes rows out, each for a reason of its own."""
        if reasons:
            self.reasons.update(reasons)
            self._take_out(np.fromiter(reasons, np.int64, len(reasons)), stage)

    def _take_out(self, rows: np.ndarray, stage: str) -> None:
        if stage not in self.stages:
            self.stages.append(stage)
        self.stage[rows] = 1 + self.stages.index(stage)

    def why(self, row: int) -> tuple[str, str]:
        """Returns (stage, reason) of a row that is out."""
        stage = self.stages[self.stage[row] - 1]
        return stage, self.reasons.get(row, self.stage_reasons.get(stage, ""))

    def flag(self, rows: Iterable[int], text: str) -> None:
        """Notes what was seen in some rows."""
        alone = (text,)
        for row in rows:
            # Most rows share the one tuple: there may be millions of them.
            seen = self.flags.get(row)
            self.flags[row] = alone if seen is None else (*seen, text)

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns how many rows each stage took out, by the reason's rule."""
        found: dict[str, dict[str, int]] = {}
        for number, stage in enumerate(self.stages, start=1):
            rows = np.flatnonzero(self.stage == number)
            if rows.size:
                rules = Counter(self.why(int(row))[1].split(":")[0] for row in rows)
                found[stage] = dict(sorted(rules.items()))
        return dict(sorted(found.items()))

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
        """Yields (first row, table) of some columns of the index, in order.

        Raises:
          UserError: A column that the index has not.
        """
        file = pq.ParquetFile(self.path)
        for column in columns:
            if column not in file.schema_arrow.names:
                raise unknown_name("index column", column, file.schema_arrow.names)
        first = 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns)):
            table = pa.Table.from_batches([batch])
            yield first, table
            first += table.num_rows
        release_memory()

    def text(self, column: str, row: int) -> str:
        """Returns one value of the index."""
        for first, table in self.batches([column]):
            if row < first + table.num_rows:
                return str(table[column][row - first].as_py())
        raise IndexError(row)


def open_workbench(path: Path) -> Workbench:
    """Returns the workbench of a numbered index, everything in it."""
    columns = ["source", "num_steps", "length_bytes", "record_length"]
    numbers = read_index(path, [*columns, "parent_weight", "parent_copy"])
    lengths = numbers["length_bytes"].to_numpy()
    copied = numbers["record_length"].fill_null(0).to_numpy()
    count = numbers.num_rows
    bench = Workbench(
        path=path,
        ids=np.zeros((count, 2), np.uint64),
        outcome=np.zeros(count, np.int8),
        source=numbers["source"].to_numpy(),
        num_steps=numbers["num_steps"].to_numpy(),
        size=np.where(copied > 0, copied, lengths),
        split=np.zeros(count, np.int8),
        split_names=[],
        copies=np.ones(count, np.int64),
        weight=numbers["parent_weight"].fill_null(1.0).to_numpy().copy(),
        parent_copy=numbers["parent_copy"].fill_null(0).to_numpy(),
        stage=np.zeros(count, np.int8),
    )
    for first, table in bench.batches(["episode_id", "success"]):
        span = slice(first, first + table.num_rows)
        bench.ids[span] = id_words(table["episode_id"].to_pylist())
        said = table["success"].to_pylist()
        bench.outcome[span] = [OUTCOMES.get(text, OUTCOMES["unknown"]) for text in said]
    return bench
