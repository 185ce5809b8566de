"""Labels that come later: tables of success, language, task and quality by episode.

An annotation file is CSV or Parquet with one row a statement: a column that names the
episode (`episode_id` or `source_id`), any of `success`, `language`, `task`, `quality`,
and, if there are several people or days, `labeller` and `time`. The logs stay as they
are; the statements are joined to the index when a version is built.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from thresher.episodes.errors import UserError
from thresher.episodes.metadata import Success
from thresher.pipelines.ingest.annotation_file import (
    LABELS,
    Statement,
    read_annotations,
)
from thresher.pipelines.ingest.relabel import change_row


@dataclasses.dataclass(frozen=True)
class AnnotationReport:
    """What became of the statements of annotation files.

    Attributes:
      episodes: Episodes with a changed label.
      changed: How many labels changed, by column.
      unknown: Ids that no episode has.
      doubles: Statements that a later one of the same labeller replaced.
      conflicts: Episodes about which labellers disagree, with what each says.
    """

    episodes: int
    changed: Mapping[str, int]
    unknown: Sequence[str]
    doubles: Sequence[str]
    conflicts: Sequence[str]

    def lines(self) -> list[str]:
        """Returns the report for people."""
        counts = ", ".join(
            f"{n} {column}" for column, n in sorted(self.changed.items())
        )
        lines = [f"labels of {self.episodes} episodes changed: {counts or 'none'}"]
        for title, several in (
            ("no episode has the id", self.unknown),
            ("said again", self.doubles),
            ("contradiction", self.conflicts),
        ):
            lines += [f"{title}: {one}" for one in several[:10]]
            if len(several) > 10:
                lines.append(f"{title}: and {len(several) - 10} more")
        return lines

    def warnings(self) -> list[str]:
        """Returns a line for each thing that somebody should mend, with its first."""
        return [
            f"labels: {title}: {len(several)}, as {'; '.join(several[:3])}"
            for title, several in (
                ("statements about no episode that is here", self.unknown),
                (
                    "statements that a later one of the same labeller replaces",
                    self.doubles,
                ),
                ("contradictions between labellers", self.conflicts),
            )
            if several
        ]


def apply_annotations(
    index: pa.Table, files: Sequence[Path]
) -> tuple[pa.Table, AnnotationReport]:
    """Joins annotation files to an episode index.

    A success that somebody said replaces the one there; the old one goes on as one of
    the `other_labels`, by its source. Labellers who disagree on success make it
    unknown, and each one's goes on among the `other_labels`, unless all say it with a
    `precedence`, of which the highest counts; on the other columns they leave it as it
    was.

    Args:
      index: One row an episode; see `episodes/index.py`.
      files: CSV or Parquet.

    Returns:
      The index, with columns success, label_source, confidence, other_labels, language
      and task changed, quality too if it has such a column (else quality is said in
      `environment` as 'quality'); and what became of the statements.

    Raises:
      UserError: A file that cannot be read, with the row and the value; or one that is
        about no episode of the index.
    """
    by_id = _rows_by_id(index)
    statements = [s for file in files for s in _about_some(file, by_id)]
    gathered = _Gathered()
    said: dict[int, list[Statement]] = {}
    for statement in statements:
        rows = by_id.get(statement.episode, [])
        if not rows:
            gathered.unknown.append(f"{statement.episode!r} ({statement.where})")
        for row in rows:
            said.setdefault(row, []).append(statement)
    changes = {row: _settled(row, several, gathered) for row, several in said.items()}
    return _changed(index, changes, gathered), gathered.report()


def _about_some(file: Path, by_id: Mapping[str, list[int]]) -> Sequence[Statement]:
    statements = read_annotations(file).statements
    if statements and not any(said.episode in by_id for said in statements):
        raise UserError(
            f"no episode has an id that is in the annotations {file} (the first is "
            f"{statements[0].episode!r}); name episodes as `thresher episodes` lists "
            "them, or leave the file out"
        )
    return statements


class _Gathered:
    """What is told about statements as they are joined."""

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.doubles: list[str] = []
        self.conflicts: list[str] = []
        self.changed: dict[str, int] = {}
        self.rows: set[int] = set()

    def report(self) -> AnnotationReport:
        return AnnotationReport(
            len(self.rows), self.changed, self.unknown, self.doubles, self.conflicts
        )


def _rows_by_id(index: pa.Table) -> dict[str, list[int]]:
    """Returns the rows of each id; copies of an episode share theirs."""
    rows: dict[str, list[int]] = {}
    for column in ("episode_id", "source_id"):
        for row, name in enumerate(index[column].to_pylist()):
            if name:
                rows.setdefault(name, []).append(row)
    return rows


def _settled(
    row: int, statements: Sequence[Statement], gathered: _Gathered
) -> dict[str, tuple[Any, Sequence[Statement]]]:
    """Returns what counts about an episode, by column, and who said it."""
    settled: dict[str, tuple[Any, Sequence[Statement]]] = {}
    for column in LABELS:
        about = [s for s in statements if column in s.values]
        latest = _latest_of_each(column, about, gathered)
        if latest:
            settled[column] = _agreed(column, latest, gathered)
    return {k: v for k, v in settled.items() if v[0] is not None}


def _latest_of_each(
    column: str, about: Sequence[Statement], gathered: _Gathered
) -> list[Statement]:
    latest: dict[str, Statement] = {}
    # A statement without a time is older than any with one; files say their order.
    for statement in sorted(about, key=lambda s: (s.time is not None, s.time or 0)):
        before = latest.get(statement.labeller)
        if before is not None:
            gathered.doubles.append(
                f"{column} of {statement.episode} by {statement.labeller or 'nobody'}: "
                f"{before.values[column]!r} ({before.where}), then "
                f"{statement.values[column]!r} ({statement.where})"
            )
        contradicts = (
            before is not None
            and before.time == statement.time
            and before.values[column] != statement.values[column]
        )
        # One labeller, one time, two verdicts: nothing says which is meant.
        latest[statement.labeller + "\0" * contradicts] = statement
    return list(latest.values())


def _agreed(
    column: str, latest: Sequence[Statement], gathered: _Gathered
) -> tuple[Any, Sequence[Statement]]:
    values = {statement.values[column] for statement in latest}
    if len(values) == 1:
        return values.pop(), latest[-1:]
    if all(statement.precedence is not None for statement in latest):
        ranked = sorted(latest, key=lambda s: s.precedence or 0)
        if ranked[-1].precedence != ranked[-2].precedence:
            return ranked[-1].values[column], ranked[-1:]
    said = ", ".join(
        f"{s.values[column]!r} by {s.labeller.strip(chr(0)) or 'nobody'} ({s.where})"
        for s in latest
    )
    gathered.conflicts.append(f"{column} of {latest[0].episode}: {said}")
    return (Success.UNKNOWN.value if column == "success" else None), latest


def _changed(
    index: pa.Table,
    changes: Mapping[int, Mapping[str, tuple[Any, Sequence[Statement]]]],
    gathered: _Gathered,
) -> pa.Table:
    columns = ["success", "label_source", "confidence", "other_labels"]
    columns += ["language", "task", "environment"]
    columns += ["quality"] if "quality" in index.column_names else []
    values = {name: index[name].to_pylist() for name in columns}
    for row, settled in changes.items():
        before = {name: values[name][row] for name in columns}
        after = change_row(before, settled)
        for name in columns:
            values[name][row] = after[name]
        for column in settled:
            if before != after:
                gathered.changed[column] = gathered.changed.get(column, 0) + 1
                gathered.rows.add(row)
    for name in columns:
        at = index.column_names.index(name)
        field = index.schema.field(name)
        index = index.set_column(at, field, pa.array(values[name], field.type))
    return index
