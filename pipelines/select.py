"""From the index of all sources to a version's episodes, every exclusion with a reason.

Stages work on the workbench one after the other: contract, checks, conditions, copies,
splits, rebalancing, mixing. None reads an episode.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.checks import (
    COMPARING,
    REJECT,
    Check,
    Finding,
    findings,
    merged_checks,
)
from thresher.pipelines.conditions import columns_of, matching_rows
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.rebalance import (
    NO,
    UNKNOWN,
    YES,
    StratumReport,
    rebalance,
    share_out,
)
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.sources import MERGED_SCHEMA, Source
from thresher.pipelines.split import first_leak, split_numbers
from thresher.pipelines.stable_hash import ranks, text_hash
from thresher.pipelines.workbench import Workbench, open_workbench

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


@dataclasses.dataclass
class Selection:
    """Which episodes make a version.

    Attributes:
      bench: The workbench, decided.
      ratios: (name, successes, failures) of the training split before and after
        rebalancing and of the other splits.
      strata: What rebalancing did.
      mixed: Episodes of the training split by source, before and after mixing.
      near_duplicates: Episodes that look like another one.
      released: Episodes that a rule let go.
    """

    bench: Workbench
    ratios: list[tuple[str, int, int]] = dataclasses.field(default_factory=list)
    strata: list[StratumReport] = dataclasses.field(default_factory=list)
    mixed: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    near_duplicates: int = 0
    released: int = 0


def select(index: Path, recipe: Recipe, sources: Sequence[Source]) -> Selection:
    """Decides about every row of a numbered index.

    Raises:
      UserError: A class is missing for rebalancing, groups straddle splits, a
        condition cannot be read, a column is not there.
    """
    selection = Selection(open_workbench(index))
    bench = selection.bench
    _check(selection, recipe)
    _apply_conditions(bench, recipe, sources)
    _drop_copies(bench)
    _find_near_duplicates(selection, recipe)
    _split(bench, recipe)
    before = {name: _outcomes(bench, name) for name in bench.split_names}
    if recipe.is_mixed:
        _mix(selection, recipe, sources)
    else:
        _rebalance(selection, recipe)
    _limit(bench, recipe.plan)
    selection.ratios = _ratios(bench, before)
    return selection


def _check(selection: Selection, recipe: Recipe) -> None:
    """Applies contract and checks; what a rule releases stays in, flagged."""
    bench = selection.bench
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
            bench.flags.setdefault(finding.row, []).append(str(finding))
    for stage, rows in reasons.items():
        bench.exclude_each({row: "; ".join(why) for row, why in rows.items()}, stage)
    let_go = {found[number].row for number in released}
    selection.released = sum(bench.stage[row] == 0 for row in let_go)


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


def _apply_conditions(
    bench: Workbench, recipe: Recipe, sources: Sequence[Source]
) -> None:
    conditions: list[tuple[Optional[int], str, str]]
    conditions = [(None, recipe.where, "where of the recipe")]
    conditions += [
        (number, source.where, f"where of source {source.name!r}")
        for number, source in enumerate(sources)
    ]
    for number, condition, told in conditions:
        if not condition.strip():
            continue
        columns = columns_of(condition, [*MERGED_SCHEMA.names])
        keeps = np.zeros(len(bench.stage), dtype=bool)
        for first, table in bench.batches(columns):
            keeps[first + matching_rows(table, condition, told)] = True
        rows = bench.kept
        mine = rows if number is None else rows[bench.source[rows] == number]
        out = mine[~keeps[mine]]
        stage = "where" if number is None else f"where of source {number}"
        bench.exclude(out, stage, f"filtered: not {condition}")


def _drop_copies(bench: Workbench) -> None:
    """Keeps one row of each content: the one recorded first, by the robot's clock.

    Row order decides only between copies of one time, so that logs that are added
    later leave the choice, and with it the split, as it was.
    """
    rows = bench.kept
    times = np.zeros(len(bench.stage), np.int64)
    for first, table in bench.batches(["start_time_ns"]):
        times[first : first + table.num_rows] = table["start_time_ns"].to_numpy()
    ids = bench.ids[rows]
    order = np.lexsort((rows, times[rows], ids[:, 1], ids[:, 0]))
    same = (ids[order][1:] == ids[order][:-1]).all(axis=1)
    copies = rows[order[1:][same]]
    bench.exclude(copies, "duplicate", "duplicate: same content as another")


def _find_near_duplicates(selection: Selection, recipe: Recipe) -> None:
    bench = selection.bench
    looks = np.zeros(len(bench.stage), np.uint64)
    for first, table in bench.batches(["near_digest"]):
        digests = table["near_digest"].to_pylist()
        looks[first : first + table.num_rows] = [
            int(digest[:16], 16) if digest else 0 for digest in digests
        ]
    rows = bench.kept
    rows = rows[looks[rows] != 0]
    order = rows[np.lexsort((bench.ids[rows, 1], bench.ids[rows, 0], looks[rows]))]
    again = order[1:][looks[order][1:] == looks[order][:-1]]
    selection.near_duplicates = len(again)
    message = "near duplicate: same actions, first and last frame as another"
    if recipe.near_duplicates == "drop":
        bench.exclude(again, "near duplicate", message)
    else:
        for row in again.tolist():
            bench.flags.setdefault(row, []).append(message)


def _split(bench: Workbench, recipe: Recipe) -> None:
    config = recipe.split
    bench.split_names = list(config.names)
    groups = np.zeros(len(bench.stage), np.uint64)
    needed = list(dict.fromkeys([config.group, "environment", "parent_split"]))
    for first, table in bench.batches(needed):
        texts = [str(value) for value in table[config.group].to_pylist()]
        hashes = {text: text_hash(text, 0) for text in set(texts)}
        span = slice(first, first + table.num_rows)
        groups[span] = [hashes[text] for text in texts]
        environments = (
            table["environment"].to_pylist() if config.held_out is not None else []
        )
        bench.split[span] = split_numbers(texts, environments, config)
        if config.keep:
            _keep_splits(bench, table["parent_split"].to_pylist(), first)
    _require_no_leak(bench, groups, config.group)


def _keep_splits(
    bench: Workbench, parents: Sequence[Optional[str]], first: int
) -> None:
    for offset, name in enumerate(parents):
        if name is None:
            continue
        if name not in bench.split_names:
            bench.split_names.append(name)
        bench.split[first + offset] = bench.split_names.index(name)


def _require_no_leak(bench: Workbench, groups: np.ndarray, column: str) -> None:
    rows = bench.kept
    for name, keys in ((column, groups), ("episode_id", bench.ids[:, 0])):
        leak = first_leak(keys[rows], bench.split[rows])
        if leak is not None:
            one, other = (int(rows[place]) for place in leak)
            first, second = (bench.split_names[bench.split[r]] for r in (one, other))
            raise UserError(
                f"{name} {bench.text(name, one)!r} stands in splits {first!r} and "
                f"{second!r}: choose a group column that keeps them together"
            )


def _rebalance(selection: Selection, recipe: Recipe) -> None:
    config, bench = recipe.rebalance, selection.bench
    if config is None:
        return
    rows = bench.rows_of(config.split)
    if not rows.size:
        return
    strata, names = _strata(bench, config.strata, rows)
    shares, selection.strata = rebalance(
        bench.outcome[rows], strata, names, bench.ids[rows], config
    )
    bench.copies[rows], bench.weight[rows] = shares.copies, shares.weights
    reason = f"surplus: success ratio {config.target:g} asked for"
    bench.exclude(rows[shares.copies == 0], "rebalance", reason)


def _strata(
    bench: Workbench, columns: Sequence[str], rows: np.ndarray
) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """Returns each row's stratum, and the strata's values."""
    for column in columns:
        if column not in MERGED_SCHEMA.names:
            raise unknown_name("stratum column", column, MERGED_SCHEMA.names)
    numbers: dict[tuple[str, ...], int] = {}
    found = np.zeros(len(bench.stage), np.int64)
    if columns:
        for first, table in bench.batches(list(dict.fromkeys(columns))):
            values = (map(str, table[name].to_pylist()) for name in columns)
            for offset, key in enumerate(zip(*values)):
                found[first + offset] = numbers.setdefault(key, len(numbers))
    else:
        numbers[()] = 0
    return found[rows], list(numbers)


def _mix(selection: Selection, recipe: Recipe, sources: Sequence[Source]) -> None:
    """Brings the sources' shares of the training split to their weights.

    Cells are the outcomes in each stratum of each source. Without rebalancing each
    source keeps its own ratio of success; with it, each comes to the target.
    """
    bench, config = selection.bench, recipe.rebalance
    split = config.split if config else "train"
    rows = bench.rows_of(split)
    cells, shares = _mix_cells(bench, rows, recipe, sources)
    copies, weights = np.ones(len(rows), np.int64), np.ones(len(rows))
    method = config.method if config else recipe.mix
    seed = config.seed if config else recipe.plan.seed
    share_out(cells, shares, bench.ids[rows], method, seed, copies, weights)
    bench.copies[rows], bench.weight[rows] = copies, weights
    bench.exclude(rows[copies == 0], "mix", "surplus: shares of sources asked for")
    selection.mixed = _mixed_report(bench, rows, sources)


def _mix_cells(
    bench: Workbench, rows: np.ndarray, recipe: Recipe, sources: Sequence[Source]
) -> tuple[dict[int, np.ndarray], dict[int, float]]:
    config = recipe.rebalance
    strata, _ = _strata(bench, config.strata if config else (), rows)
    cells: dict[int, np.ndarray] = {}
    shares: dict[int, float] = {}
    for number, source in enumerate(sources):
        mine = np.flatnonzero(bench.source[rows] == number)
        if not mine.size:
            raise UserError(
                f"source {source.name!r} has no episode to train on that no source "
                "before it has, so it cannot have its share of the mix; leave it out, "
                "or give it other episodes"
            )
        for stratum in np.unique(strata[mine]).tolist():
            members = mine[strata[mine] == stratum]
            by_outcome = {
                outcome: members[bench.outcome[rows[members]] == outcome]
                for outcome in (NO, YES, UNKNOWN)
            }
            parts = _outcome_parts(by_outcome, recipe, source.name)
            for outcome, part in parts.items():
                cells[len(cells)] = by_outcome[outcome]
                shares[len(shares)] = source.weight * part * len(members) / len(mine)
    return cells, shares


def _outcome_parts(
    by_outcome: Mapping[int, np.ndarray], recipe: Recipe, source: str
) -> dict[int, float]:
    """Returns what share of a stratum each outcome should have; they sum to 1."""
    counts = {outcome: len(rows) for outcome, rows in by_outcome.items()}
    total = sum(counts.values())
    parts = {outcome: count / total for outcome, count in counts.items() if count}
    known = counts[YES] + counts[NO]
    if recipe.rebalance is None or not known:
        return parts
    for outcome, name in ((YES, "success"), (NO, "failure")):
        if not counts[outcome]:
            raise UserError(
                f"cannot rebalance source {source!r} to a success ratio of "
                f"{recipe.rebalance.target:g}: no {name} among {known} labelled "
                "episodes; collect more, or build without rebalancing"
            )
    target = recipe.rebalance.target
    parts[YES], parts[NO] = target * known / total, (1 - target) * known / total
    return parts


def _mixed_report(
    bench: Workbench, rows: np.ndarray, sources: Sequence[Source]
) -> list[dict[str, Any]]:
    mass = bench.copies[rows] * bench.weight[rows]
    total = sum(source.weight for source in sources)
    return [
        {
            "source": source.name,
            "asked": source.weight / total,
            "before": int((bench.source[rows] == number).sum()),
            "after": int(bench.copies[rows][bench.source[rows] == number].sum()),
            "achieved": float(mass[bench.source[rows] == number].sum() / mass.sum()),
        }
        for number, source in enumerate(sources)
    ]


def _limit(bench: Workbench, plan: PlanConfig) -> None:
    """Keeps the first episodes of each split, in the order of the plan."""
    most = plan.max_examples_per_split
    for split in bench.split_names if most else ():
        rows = bench.rows_of(split)
        order = rows[np.argsort(ranks(bench.ids[rows], plan.seed), kind="stable")]
        out = order[np.cumsum(bench.copies[order]) > most]
        bench.exclude(out, "limit", f"limit: {most} examples a split asked for")


def _outcomes(bench: Workbench, split: str) -> tuple[int, int]:
    rows = bench.rows_of(split)
    copies, outcome = bench.copies[rows], bench.outcome[rows]
    return int(copies[outcome == YES].sum()), int(copies[outcome == NO].sum())


def _ratios(
    bench: Workbench, before: Mapping[str, tuple[int, int]]
) -> list[tuple[str, int, int]]:
    ratios = []
    for split in sorted(before):
        ours, theirs = before[split], _outcomes(bench, split)
        if not len(bench.rows_of(split)) and ours == (0, 0):
            continue
        if ours == theirs:
            ratios.append((split, *ours))
        else:
            ratios.append((f"{split}, collected", *ours))
            ratios.append((f"{split}, rebalanced", *theirs))
    return ratios
