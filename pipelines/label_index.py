"""Puts the labels of annotation files into the numbered index of a build.

Logs stay as they are. An episode whose label changes is read once, relabelled as it
will be written, and judged anew: a reward that contradicts the new label is named, or,
if the recipe says so, follows from it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from thresher.episodes.contract import violations
from thresher.episodes.episode import Episode
from thresher.episodes.index import INDEX_SCHEMA, index_row, read_index, streamed_index
from thresher.episodes.measurements import measure
from thresher.episodes.progress import progress
from thresher.episodes.raw_log import EpisodePointer
from thresher.episodes.spec import EpisodeSpec
from thresher.pipelines.ingest.annotations import AnnotationReport, apply_annotations
from thresher.pipelines.ingest.relabel import relabel
from thresher.pipelines.sources import MERGED_SCHEMA, Source
from thresher.pipelines.write import recorded_episode

_LABELLED = (
    "episode_id",
    "source_id",
    "success",
    "label_source",
    "confidence",
    "other_labels",
    "language",
    "task",
    "environment",
)


@dataclasses.dataclass(frozen=True)
class Labelling:
    """Labels to join.

    Attributes:
      files: Annotation files, in order.
      rewards: What happens to rewards: see `relabel`.
    """

    files: tuple[Path, ...]
    rewards: str


def label_index(
    index: Path, labelling: Labelling, sources: Sequence[Source], spec: EpisodeSpec
) -> tuple[Path, AnnotationReport]:
    """Writes the index with the annotations' labels beside the one without.

    Raises:
      UserError: An annotation file cannot be read.
    """
    before = read_index(index, _LABELLED)
    after, report = apply_annotations(before, labelling.files)
    for warning in report.warnings():
        print(f"thresher: {warning}", file=sys.stderr)
    changed = {
        row: new
        for row, (old, new) in enumerate(zip(before.to_pylist(), after.to_pylist()))
        if old != new
    }
    labelled = index.with_name("labelled.parquet")
    file = pq.ParquetFile(index)
    with streamed_index(labelled, MERGED_SCHEMA) as writer:
        with progress("label", len(changed)) as bar:
            for batch in file.iter_batches(batch_size=16_384):
                rows = batch.to_pylist()
                for row in rows:
                    if row["row"] in changed and row["episode_id"]:
                        new = changed[row["row"]]
                        row.update(_relabelled(row, new, labelling, sources, spec))
                        bar.advance()
                writer.write(pa.Table.from_pylist(rows, schema=MERGED_SCHEMA))
    return labelled, report


def _relabelled(
    row: Mapping[str, Any],
    labels: Mapping[str, Any],
    labelling: Labelling,
    sources: Sequence[Source],
    spec: EpisodeSpec,
) -> dict[str, Any]:
    """Returns what changes in a row when its episode gets its new labels."""
    recorded = recorded_episode(dict(row), sources[row["source"]], spec)
    episode = relabel(recorded, {**row, **labels}, labelling.rewards)
    pointer = EpisodePointer(row["file"], row["offset"], row["length_bytes"])
    broken = [f"{v.rule}: {v.message}" for v in violations(episode, spec)]
    judged = index_row(
        episode, pointer, broken, row["log_digest"], _measured(episode, spec)
    )
    new = {name: judged[name] for name in INDEX_SCHEMA.names if name in judged}
    return {
        **new,
        "relabelled": labelling.rewards,
        "recorded_id": row["episode_id"],
    }


def _measured(episode: Episode, spec: EpisodeSpec) -> Any:
    try:
        return measure(episode, spec)
    # What cannot be measured breaks the contract, and that is said elsewhere.
    except (ValueError, KeyError):
        return None
