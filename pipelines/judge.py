"""Judges every episode of an index by contract and checks; rules let some go again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.pipelines.checks import (
    COMPARING,
    REJECT,
    Check,
    Finding,
    findings,
    merged_checks,
)
from thresher.pipelines.conditions import matching_rows
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.sources import MERGED_SCHEMA
from thresher.pipelines.workbench import KEPT, Workbench

# Rules of the contract whose violation leaves no episode to write.
UNRELEASABLE = ("unreadable", "columns", "length", "missing_frames", "values")
_CHECKED = (
    "num_steps",
    "episode_return",
    "success",
    "task",
    "other_labels",
    "darkest_frame",
    "brightest_frame",
    "frozen_frames",
    "stuck_joints",
    "saturated_share",
    "largest_gap",
    "jitter",
)


def judge(bench: Workbench, recipe: Recipe) -> int:
    """Applies contract and checks; what a rule releases stays in, flagged.

    Returns:
      How many episodes were let go by a rule.
    """
    found = [*_contract_findings(bench)]
    broken = {finding.row for finding in found}
    checked = _check_findings(bench, merged_checks(recipe.checks))
    found += [finding for finding in checked if finding.row not in broken]
    released = _released(bench, found, recipe.release)
    reasons: dict[str, dict[int, list[str]]] = {"contract": {}, "checks": {}}
    for number, finding in enumerate(found):
        if finding.action == REJECT and number not in released:
            stage = "contract" if finding.row in broken else "checks"
            reasons[stage].setdefault(finding.row, []).append(str(finding))
        else:
            bench.flag([finding.row], str(finding))
    for stage, rows in reasons.items():
        bench.exclude_each({row: "; ".join(why) for row, why in rows.items()}, stage)
    let_go = {found[number].row for number in released}
    return sum(bool(bench.stage[row] == KEPT) for row in let_go)


def _check_findings(bench: Workbench, checks: Mapping[str, Check]) -> Iterator[Finding]:
    single = {name: check for name, check in checks.items() if name not in COMPARING}
    for first, table in bench.batches(_CHECKED):
        for finding in findings(table, single):
            yield dataclasses.replace(finding, row=first + finding.row)
    # These need all episodes at once, and so get few columns.
    tables = (table for _, table in bench.batches(("episode_return", "task")))
    comparing = {name: checks[name] for name in COMPARING}
    yield from findings(pa.concat_tables(tables), comparing)


def _contract_findings(bench: Workbench) -> list[Finding]:
    found = []
    for first, table in bench.batches(["violations"]):
        lengths = pc.list_value_length(table["violations"]).to_numpy()
        for row in np.flatnonzero(lengths > 0):
            for text in table["violations"][int(row)].as_py():
                rule, _, message = text.partition(": ")
                found.append(Finding(first + int(row), rule, REJECT, message))
    return found


def _released(
    bench: Workbench, found: Sequence[Finding], rules: Sequence[str]
) -> set[int]:
    """Returns which findings a rule of the recipe lets go."""
    candidates = [
        number
        for number, finding in enumerate(found)
        if finding.action == REJECT and finding.check not in UNRELEASABLE
    ]
    if not rules or not candidates:
        return set()
    rows = np.array([found[number].row for number in candidates])
    wanted = [n for n in MERGED_SCHEMA.names if n not in ("summary", "violations")]
    parts = []
    for first, table in bench.batches(wanted):
        inside = rows[(rows >= first) & (rows < first + table.num_rows)]
        parts.append(table.take(inside - first))
    # Rows of a batch keep the order of `rows` only if that is sorted: sort both.
    order = np.argsort(rows, kind="stable")
    candidates = [candidates[number] for number in order]
    table = pa.concat_tables(parts).take(np.argsort(np.argsort(rows[order])))
    for name in ("check", "message"):
        texts = [getattr(found[number], name) for number in candidates]
        table = table.append_column(name, pa.array(texts))
    matched: set[int] = set()
    for rule in rules:
        matched |= set(matching_rows(table, rule, "release of the recipe").tolist())
    return {candidates[row] for row in matched}
