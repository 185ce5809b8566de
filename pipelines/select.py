"""From the index of all sources to a version's episodes, every exclusion with a reason.

Stages work on the workbench one after the other: contract, checks, conditions, copies,
splits, rebalancing, mixing, a limit. None reads an episode.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from thresher.episodes.errors import UserError
from thresher.pipelines.conditions import columns_of, matching_rows
from thresher.pipelines.judge import judge
from thresher.pipelines.limit import limit_splits, sources_left, strata_left
from thresher.pipelines.mix import mix_training, rebalance_training
from thresher.pipelines.rebalance import NO, YES, StratumReport
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.sources import MERGED_SCHEMA, Source
from thresher.pipelines.split import HeldOut, first_leak, split_numbers
from thresher.pipelines.stable_hash import text_hash
from thresher.pipelines.workbench import COUNTED, Workbench, open_workbench


@dataclasses.dataclass
class Selection:
    """Which episodes make a version.

    Attributes:
      bench: The workbench, decided.
      ratios: (name, successes, failures) of each split as collected, rebalanced and
        limited, where these differ.
      strata: What rebalancing did.
      mixed: Episodes of the training split by source, before and after mixing.
      near_duplicates: Episodes that look like another one.
      near_across_splits: Looks that stand in more than one split: perhaps a leak.
      released: Episodes that a rule let go.
    """

    bench: Workbench
    ratios: list[tuple[str, int, int]] = dataclasses.field(default_factory=list)
    strata: list[StratumReport] = dataclasses.field(default_factory=list)
    mixed: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    near_duplicates: int = 0
    near_across_splits: int = 0
    released: int = 0


def select(index: Path, recipe: Recipe, sources: Sequence[Source]) -> Selection:
    """Decides about every row of a numbered index.

    Raises:
      UserError: A class is missing for rebalancing, groups straddle splits, a
        condition cannot be read, a column is not there.
    """
    selection = Selection(open_workbench(index))
    bench = selection.bench
    selection.released = judge(bench, recipe)
    _apply_conditions(bench, recipe, sources)
    _drop_copies(bench, recipe)
    looks = _find_near_duplicates(selection, recipe)
    _split(bench, recipe)
    selection.near_across_splits = _straddling(bench, looks)
    stages = {"collected": _all_outcomes(bench)}
    if recipe.is_mixed:
        selection.mixed = mix_training(bench, recipe, sources)
    else:
        selection.strata = rebalance_training(bench, recipe)
    stages["rebalanced"] = _all_outcomes(bench)
    _limit(selection, recipe)
    stages["limited"] = _all_outcomes(bench)
    selection.ratios = _ratios(bench, stages)
    return selection


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
        known = MERGED_SCHEMA.names
        columns = columns_of(condition, known)
        keeps = np.zeros(len(bench.stage), dtype=bool)
        for first, table in bench.batches(columns):
            keeps[first + matching_rows(table, condition, told, known)] = True
        rows = bench.kept
        mine = rows if number is None else rows[bench.source[rows] == number]
        out = mine[~keeps[mine]]
        stage = "where" if number is None else f"where of source {number}"
        bench.exclude(out, stage, f"filtered: not {condition}")


def _drop_copies(bench: Workbench, recipe: Recipe) -> None:
    """Keeps one row of each content: the one recorded first, by the robot's clock.

    Row order decides only between copies of one time, so that logs that are added
    later leave the choice, and with it the split, as it was. Where a parent repeats an
    episode on purpose and nothing else is asked, it is repeated as often.
    """
    rows = bench.kept
    times = np.zeros(len(bench.stage), np.int64)
    for first, table in bench.batches(["start_time_ns"]):
        times[first : first + table.num_rows] = table["start_time_ns"].to_numpy()
    ids, source, copy = bench.ids[rows], bench.source[rows], bench.parent_copy[rows]
    order = np.lexsort((rows, copy, source, times[rows], ids[:, 1], ids[:, 0]))
    rows, ids, source, copy = (a[order] for a in (rows, ids, source, copy))
    again = np.zeros(len(rows), bool)
    again[1:] = (ids[1:] == ids[:-1]).all(axis=1)
    firsts = np.maximum.accumulate(np.where(again, 0, np.arange(len(rows))))
    repeats = again & (source == source[firsts]) & (copy > np.roll(copy, 1))
    repeats &= _keeps_repetitions(bench, recipe)[rows]
    np.add.at(bench.copies, rows[firsts[repeats]], 1)
    bench.stage[rows[repeats]] = COUNTED
    out = rows[again & ~repeats]
    bench.exclude(out, "duplicate", "duplicate: same content as another")


def _keeps_repetitions(bench: Workbench, recipe: Recipe) -> np.ndarray:
    """Returns of which rows a parent's repetitions still mean something, bool [N].

    They do not where episodes are divided, rebalanced or mixed anew.
    """
    keeps = np.full(len(bench.stage), recipe.split.keep)
    again = recipe.rebalance.split if recipe.rebalance else "train"
    if keeps.any() and (recipe.rebalance or recipe.is_mixed):
        for first, table in bench.batches(["parent_split"]):
            splits = np.array(table["parent_split"].to_pylist(), dtype=object)
            keeps[first : first + table.num_rows] = splits != again
    return keeps


def _find_near_duplicates(selection: Selection, recipe: Recipe) -> np.ndarray:
    """Counts near duplicates, or drops them; returns what each row looks like."""
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
        bench.flag(again.tolist(), message)
    return looks


def _straddling(bench: Workbench, looks: np.ndarray) -> int:
    """Returns how many looks stand in more than one split."""
    rows = bench.kept
    rows = rows[looks[rows] != 0]
    pairs = np.unique(np.stack([looks[rows], bench.split[rows].astype("u8")]), axis=1)
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())


def _split(bench: Workbench, recipe: Recipe) -> None:
    config = recipe.split
    bench.split_names = list(config.names)
    held_out = HeldOut(config) if config.held_out else None
    groups = np.zeros(len(bench.stage), np.uint64)
    needed = list(dict.fromkeys([config.group, "environment", "parent_split"]))
    for first, table in bench.batches(needed):
        texts = [str(value) for value in table[config.group].to_pylist()]
        hashes = {text: text_hash(text, 0) for text in set(texts)}
        span = slice(first, first + table.num_rows)
        groups[span] = [hashes[text] for text in texts]
        out = held_out.among(table["environment"].to_pylist()) if held_out else None
        bench.split[span] = split_numbers(texts, out, config)
        if config.keep:
            _keep_splits(bench, table["parent_split"].to_pylist(), first)
    _require_no_leak(bench, groups, config.group)
    if held_out:
        held_out.tell_if_none()


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


def _limit(selection: Selection, recipe: Recipe) -> None:
    """Keeps the first examples of each split; what was told is told of those."""
    if not recipe.plan.max_examples_per_split:
        return
    bench, config = selection.bench, recipe.rebalance
    limit_splits(bench, recipe.plan)
    if selection.strata and config:
        selection.strata = strata_left(bench, config, selection.strata)
    split = config.split if config else "train"
    selection.mixed = sources_left(bench, split, selection.mixed)


def _outcomes(bench: Workbench, split: str) -> tuple[int, int]:
    rows = bench.rows_of(split)
    copies, outcome = bench.copies[rows], bench.outcome[rows]
    return int(copies[outcome == YES].sum()), int(copies[outcome == NO].sum())


def _all_outcomes(bench: Workbench) -> dict[str, tuple[int, int]]:
    return {name: _outcomes(bench, name) for name in bench.split_names}


def _ratios(
    bench: Workbench, stages: Mapping[str, Mapping[str, tuple[int, int]]]
) -> list[tuple[str, int, int]]:
    """Returns the outcomes of each split after every stage that changed them."""
    ratios = []
    collected = stages["collected"]
    for split in sorted(collected):
        if not len(bench.rows_of(split)) and collected[split] == (0, 0):
            continue
        told = [("collected", collected[split])]
        for stage, counts in stages.items():
            if counts[split] != told[-1][1]:
                told.append((stage, counts[split]))
        alone = len(told) == 1
        ratios += [(split if alone else f"{split}, {s}", *c) for s, c in told]
    return ratios
