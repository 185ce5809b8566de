"""Seals a version: writes what travels with its shards, and moves it into place.

Nothing written here depends on time, machine, workers or the order of anything.
Checksums are written last and the folder is moved in one rename, so a version either
is sealed or is not there.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thresher.episodes.files import atomic_write, sha256_file
from thresher.episodes.index import INDEX_SCHEMA, ROW_GROUP_ROWS, streamed_index
from thresher.episodes.run_record import code_revision
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.version import (
    CHECKSUMS,
    CROISSANT,
    EPISODES,
    EXCLUDED,
    INGEST,
    LINEAGE,
    PICTURE,
    SPEC,
    STATISTICS,
    SUMMARIES,
    Version,
)
from thresher.pipelines.card import dataset_card
from thresher.pipelines.croissant import croissant
from thresher.pipelines.ingest.annotations import AnnotationReport
from thresher.pipelines.ingest.report import IngestReport
from thresher.pipelines.manifest import BLOCK_ROWS, read_manifest
from thresher.pipelines.picture import picture_strip
from thresher.pipelines.prove import ProofUnit
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.select import Selection
from thresher.pipelines.sources import Source
from thresher.pipelines.statistics import SummaryMerger, statistics_of
from thresher.pipelines.summary import summarised_features, summarised_widths
from thresher.pipelines.summary_bytes import unpack
from thresher.pipelines.tfds_info import write_dataset_info
from thresher.pipelines.workbench import KEPT, Workbench
from thresher.pipelines.write import ShardUnit

_INTERNAL = (
    "summary",
    "relabelled",
    "recorded_id",
    "parent_split",
    "parent_weight",
    "parent_copy",
    "violations",
)
_BATCH_ROWS = 1024
_RECORD_COLUMNS = ("record_offset", "record_length", "record_digest")


@dataclasses.dataclass(frozen=True)
class Sealing:
    """Everything that a seal needs.

    Attributes:
      folder: Of the shards, beside the version-to-be.
      recipe: What decides the version.
      spec: What its episodes are.
      selection: Which episodes are in, and why others are not.
      units: The proven shards.
      sources: By number.
      parents: The sealed versions among them, by number.
      ingested: What became of recordings, by number of the source.
      inputs: Digest of everything that the version is made from, by source and file.
      labels: What became of annotations; None without any.
    """

    folder: Path
    recipe: Recipe
    spec: EpisodeSpec
    selection: Selection
    units: Sequence[ShardUnit]
    sources: Sequence[Source]
    parents: dict[int, Version]
    ingested: dict[int, IngestReport]
    inputs: dict[str, str]
    labels: Optional[AnnotationReport]


def write_side_files(sealing: Sealing) -> None:
    """Writes everything of a version but its shards, checksums last."""
    folder, units = sealing.folder, sealing.units
    _write_episodes(folder / EPISODES, units)
    _write_summaries(folder / SUMMARIES, units)
    _write_excluded(folder / EXCLUDED, sealing.selection.bench)
    atomic_write(folder / SPEC, sealing.spec.to_json() + "\n")
    lineage = _lineage(sealing)
    atomic_write(folder / LINEAGE, _json(lineage))
    if sealing.ingested:
        reports = {
            sealing.sources[number].name: json.loads(report.to_json())
            for number, report in sealing.ingested.items()
        }
        atomic_write(folder / INGEST, _json(reports))
    statistics = _statistics(units, sealing.spec)
    atomic_write(folder / STATISTICS, _json(statistics))
    write_dataset_info(folder, sealing.recipe, sealing.spec, units)
    picture = picture_strip(units, sealing.spec)
    if picture is not None:
        atomic_write(folder / PICTURE, picture)
    splits = {unit.split: 0 for unit in units}
    for unit in units:
        splits[unit.split] += unit.count
    card = dataset_card(
        sealing.spec, lineage, splits, statistics, has_picture=picture is not None
    )
    atomic_write(folder / "README.md", card)
    checksums = _checksums(folder, units)
    atomic_write(
        folder / CROISSANT, _json(croissant(sealing.recipe, sealing.spec, checksums))
    )
    checksums[CROISSANT] = _checksum(folder / CROISSANT)
    atomic_write(folder / CHECKSUMS, _json({"files": checksums}))


def _write_episodes(path: Path, units: Sequence[ShardUnit]) -> None:
    """Writes the plan with where each record is, shard by shard."""
    tables = _episode_tables(units)
    pending = [next(tables)]
    with streamed_index(path, pending[0].schema) as writer:
        for table in tables:
            if sum(part.num_rows for part in pending) >= ROW_GROUP_ROWS:
                writer.write(pa.concat_tables(pending))
                pending = []
            pending.append(table)
        writer.write(pa.concat_tables(pending))


def _episode_tables(units: Sequence[ShardUnit]) -> Iterator[pa.Table]:
    plan = _PlanRows(units[0].plan)
    for unit in units:
        manifest = read_manifest(unit.path, _RECORD_COLUMNS).records
        for start in range(0, unit.count, _BATCH_ROWS):
            records = manifest.slice(start, _BATCH_ROWS)
            rows = plan.take(records.num_rows)
            rows = rows.drop_columns([n for n in _INTERNAL if n in rows.column_names])
            files = pa.array([unit.file.name] * rows.num_rows, pa.string())
            places = {name: records[name] for name in _RECORD_COLUMNS}
            for name, column in {"shard_file": files, **places}.items():
                rows = rows.set_column(rows.column_names.index(name), name, column)
            yield rows.replace_schema_metadata(None)


class _PlanRows:
    """Reads a plan from its start to its end, some rows at a time."""

    def __init__(self, path: Path) -> None:
        self._batches = pq.ParquetFile(path).iter_batches(_BATCH_ROWS)
        self._left: pa.Table | None = None

    def take(self, count: int) -> pa.Table:
        parts = []
        while count:
            if self._left is None or not self._left.num_rows:
                self._left = pa.Table.from_batches([next(self._batches)])
            parts.append(self._left.slice(0, count))
            self._left = self._left.slice(parts[-1].num_rows)
            count -= parts[-1].num_rows
        return pa.concat_tables(parts)


def _write_summaries(path: Path, units: Sequence[ShardUnit]) -> None:
    schema = pa.schema([pa.field("summary", pa.binary())])
    with streamed_index(path, schema) as writer:
        for unit in units:
            file = pq.ParquetFile(unit.path)
            for batch in file.iter_batches(BLOCK_ROWS, columns=["summary"]):
                writer.write(pa.table([batch.column(0)], schema=schema))


def _write_excluded(path: Path, bench: Workbench) -> None:
    """Writes the quarantine: every row that is out, with stage and reason."""
    names = [*INDEX_SCHEMA.names, "source"]
    fields = [INDEX_SCHEMA.field(name) for name in INDEX_SCHEMA.names]
    schema = pa.schema(
        [
            *fields,
            pa.field("source", pa.int32()),
            pa.field("stage", pa.string()),
            pa.field("reason", pa.string()),
        ]
    )
    excluded = bool(np.any(bench.stage > KEPT))
    with streamed_index(path, schema) as writer:
        for first, table in bench.batches(names) if excluded else ():
            span = bench.stage[first : first + table.num_rows]
            out = np.flatnonzero(span > KEPT).tolist()
            if not out:
                continue
            why = [bench.why(first + row) for row in out]
            columns = [*table.take(out).columns]
            columns += [pa.array([said[part] for said in why]) for part in (0, 1)]
            writer.write(pa.table(columns, schema=schema))


def _lineage(sealing: Sealing) -> dict[str, Any]:
    selection, bench = sealing.selection, sealing.selection.bench
    return {
        "recipe": sealing.recipe.to_dict(),
        "spec_digest": sealing.spec.digest(),
        "alignment": sealing.spec.alignment,
        "code_revision": code_revision(),
        "parents": [
            {
                "source": sealing.sources[number].name,
                "name": version.name,
                "version": version.version,
                "digest": version.digest,
            }
            for number, version in sorted(sealing.parents.items())
        ],
        "inputs": sealing.inputs,
        "raw_logs": _raw_logs(bench, sealing.sources),
        "ingested": {
            sealing.sources[number].name: report.total()
            for number, report in sorted(sealing.ingested.items())
        },
        "labels": dataclasses.asdict(sealing.labels) if sealing.labels else {},
        "episodes": {
            "indexed": len(bench.stage),
            "written": sum(unit.count for unit in sealing.units),
            "flagged": sum(bool(bench.stage[row] == 0) for row in bench.flags),
            "near_duplicates": selection.near_duplicates,
            "near_duplicates_across_splits": selection.near_across_splits,
            "released": int(selection.released),
        },
        "excluded": bench.counts(),
        "flags": _flag_counts(bench),
        "success_ratio": [
            {"name": name, "successes": yes, "failures": no}
            for name, yes, no in selection.ratios
        ],
        "rebalanced": [dataclasses.asdict(report) for report in selection.strata],
        "mixed": selection.mixed,
    }


def _raw_logs(bench: Workbench, sources: Sequence[Source]) -> list[dict[str, Any]]:
    counts: dict[tuple[int, str, str], int] = {}
    for _, table in bench.batches(["source", "file", "log_digest"]):
        for key in zip(*(column.to_pylist() for column in table.columns)):
            counts[key] = counts.get(key, 0) + 1
    return [
        {"source": sources[n].name, "file": file, "sha256": digest, "episodes": count}
        for (n, file, digest), count in sorted(counts.items())
        if not sources[n].is_version
    ]


def _flag_counts(bench: Workbench) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row, texts in bench.flags.items():
        for text in texts if bench.stage[row] == 0 else ():
            rule = text.split(":")[0]
            counts[rule] = counts.get(rule, 0) + 1
    return dict(sorted(counts.items()))


def _statistics(units: Sequence[ShardUnit], spec: EpisodeSpec) -> dict[str, Any]:
    names = [feature.name for feature in summarised_features(spec)]
    widths = summarised_widths(spec)
    mergers: dict[str, SummaryMerger] = {}
    for unit in units:
        packed = read_manifest(unit.path, []).statistics
        mergers.setdefault(unit.split, SummaryMerger()).add(unpack(packed, widths))
    return {
        split: statistics_of(merger.summary, names)
        for split, merger in sorted(mergers.items())
    }


def _checksums(folder: Path, units: Sequence[ShardUnit]) -> dict[str, Any]:
    """Returns digest and size of every visible file; shards were hashed when proven."""
    known = {unit.file.name: ProofUnit(unit) for unit in units}
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in (CHECKSUMS, CROISSANT):
            continue
        proof = known.get(path.name)
        found[path.name] = _checksum(path, proof.sha256() if proof else "")
    return found


def _checksum(path: Path, sha256: str = "") -> dict[str, Any]:
    return {"sha256": sha256 or sha256_file(path), "bytes": path.stat().st_size}


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
