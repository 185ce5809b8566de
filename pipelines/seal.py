"""Seals a version: proves it from its shards, writes what travels with it.

The proof reads the shards themselves: every planned episode is there once, in its
place, and its content has the digest that the plan says. Checksums are written last
and the folder is moved into place in one rename, so a version either is sealed or is
not there.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow_datasets as tfds

from thresher.episodes.files import atomic_write, sha256_file
from thresher.episodes.index import write_index
from thresher.episodes.progress import progress
from thresher.episodes.run_record import code_revision
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.tfds_features import features_dict
from thresher.episodes.tfds_record import decode_record
from thresher.episodes.version import CHECKSUMS, EPISODES, LINEAGE, SPEC, STATISTICS
from thresher.pipelines.card import dataset_card
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.select import Selection
from thresher.pipelines.statistics import Moments, merge_moments
from thresher.pipelines.write import ShardUnit, read_records

EXCLUDED = "excluded.parquet"


def unproven_shards(units: Sequence[ShardUnit]) -> dict[ShardUnit, list[str]]:
    """Returns what is wrong with each shard that is not as planned."""
    found = {}
    with progress("prove", sum(unit.size for unit in units)) as bar:
        for unit in units:
            problems = shard_problems(unit)
            if problems:
                found[unit] = problems
            bar.advance(by=unit.size)
    return found


def shard_problems(unit: ShardUnit) -> list[str]:
    """Returns a sentence for everything in a shard that the plan does not say."""
    try:
        manifest = json.loads(unit.path.read_text())
    except (OSError, ValueError) as error:
        return [f"{unit.path.name} cannot be read ({error})"]
    planned = [row["episode_id"] for row in unit.rows()]
    try:
        found = [
            decode_record(record, unit.spec).episode_id
            for record in read_records(unit.file)
        ]
    except ValueError as error:
        return [str(error)]
    if found != planned:
        return _differences(planned, found)
    listed = [episode_id for episode_id, _, _ in manifest["records"]]
    if listed != planned or sha256_file(unit.file) != manifest["sha256"]:
        return [f"{unit.file.name} is not the file that its manifest describes"]
    return []


def _differences(planned: Sequence[str], found: Sequence[str]) -> list[str]:
    missing, foreign = (
        Counter(planned) - Counter(found),
        Counter(found) - Counter(planned),
    )
    problems = [f"{name} is missing" for name in sorted(missing)]
    problems += [
        f"{name} is there twice" if name in planned else f"{name} was never planned"
        for name in sorted(foreign)
    ]
    if not problems:
        pairs = enumerate(zip_longest(planned, found))
        place = next(i for i, (want, got) in pairs if want != got)
        problems = [f"position {place} holds {found[place]}, not {planned[place]}"]
    return problems


def write_side_files(
    folder: Path,
    recipe: Recipe,
    spec: EpisodeSpec,
    plan: pa.Table,
    units: Sequence[ShardUnit],
    selection: Selection,
    index: pa.Table,
) -> None:
    """Writes everything of a version but its shards, checksums last.

    Nothing here depends on time, machine, workers or the order of anything.
    """
    manifests = [json.loads(unit.path.read_text()) for unit in units]
    write_index(_episodes_table(plan, units, manifests), folder / EPISODES)
    write_index(selection.excluded, folder / EXCLUDED)
    atomic_write(folder / SPEC, spec.to_json() + "\n")
    lineage = _lineage(recipe, spec, selection, index)
    atomic_write(folder / LINEAGE, _json(lineage))
    atomic_write(folder / STATISTICS, _json(_statistics(units, manifests)))
    _write_dataset_info(folder, recipe, spec, units, manifests)
    splits = Counter(plan["split"].to_pylist())
    atomic_write(
        folder / "README.md", dataset_card(spec, lineage, dict(sorted(splits.items())))
    )
    atomic_write(folder / CHECKSUMS, _json(_checksums(folder)))


def _episodes_table(
    plan: pa.Table, units: Sequence[ShardUnit], manifests: Sequence[dict[str, Any]]
) -> pa.Table:
    """Returns the plan with where each record is: plain TFRecord, random access."""
    files, offsets, lengths = [], [], []
    for unit, manifest in zip(units, manifests):
        for _, offset, length in manifest["records"]:
            files.append(unit.file.name)
            offsets.append(offset)
            lengths.append(length)
    for name, values, kind in (
        ("shard_file", files, pa.string()),
        ("record_offset", offsets, pa.int64()),
        ("record_length", lengths, pa.int64()),
    ):
        plan = plan.append_column(name, pa.array(values, kind))
    return plan


def _lineage(
    recipe: Recipe, spec: EpisodeSpec, selection: Selection, index: pa.Table
) -> dict[str, Any]:
    logs = Counter(zip(index["file"].to_pylist(), index["log_digest"].to_pylist()))
    return {
        "recipe": recipe.to_dict(),
        "spec_digest": spec.digest(),
        "code_revision": code_revision(),
        "parents": [],
        "raw_logs": [
            {"file": file, "sha256": digest, "episodes": count}
            for (file, digest), count in sorted(logs.items())
        ],
        "episodes": {"indexed": index.num_rows, "written": selection.kept.num_rows},
        "excluded": selection.reasons(),
        "success_ratio": [
            {"name": name, "successes": yes, "failures": no}
            for name, yes, no in selection.ratios
        ],
        "rebalanced": [dataclasses.asdict(report) for report in selection.strata],
    }


def _statistics(
    units: Sequence[ShardUnit], manifests: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    by_split: dict[str, list[dict[str, Moments]]] = {}
    for unit, manifest in zip(units, manifests):
        moments = {n: Moments.from_dict(m) for n, m in manifest["moments"].items()}
        by_split.setdefault(unit.split, []).append(moments)
    return {
        split: {n: m.to_dict() for n, m in sorted(merge_moments(parts).items())}
        for split, parts in sorted(by_split.items())
    }


def _write_dataset_info(
    folder: Path,
    recipe: Recipe,
    spec: EpisodeSpec,
    units: Sequence[ShardUnit],
    manifests: Sequence[dict[str, Any]],
) -> None:
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=recipe.name,
        version=tfds.core.Version(recipe.version),
        data_dir=str(folder),
        module_name="",
    )
    info = tfds.core.DatasetInfo(
        builder=identity, description=recipe.description, features=features_dict(spec)
    )
    info.set_file_format(tfds.core.FileFormat.TFRECORD)
    template = tfds.core.ShardedFileTemplate(
        dataset_name=recipe.name, data_dir=folder, filetype_suffix="tfrecord"
    )
    splits: dict[str, list[tuple[ShardUnit, dict[str, Any]]]] = {}
    for unit, manifest in zip(units, manifests):
        splits.setdefault(unit.split, []).append((unit, manifest))
    info.set_splits(
        tfds.core.splits.SplitDict(
            [
                tfds.core.SplitInfo(
                    name=split,
                    shard_lengths=[unit.size for unit, _ in shards],
                    num_bytes=sum(manifest["bytes"] for _, manifest in shards),
                    filename_template=template,
                )
                for split, shards in sorted(splits.items())
            ]
        )
    )
    info.write_to_directory(folder)


def _checksums(folder: Path) -> dict[str, Any]:
    """Returns digest and size of every visible file."""
    return {
        "files": {
            path.name: {"sha256": sha256_file(path), "bytes": path.stat().st_size}
            for path in sorted(folder.iterdir())
            if not path.name.startswith(".") and path.name != CHECKSUMS
        }
    }


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
