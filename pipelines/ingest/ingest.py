"""Ingests recordings: sources and a mapping → raw logs and a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Optional

from apache_beam.options.pipeline_options import PipelineOptions

from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write, require_writable
from thresher.episodes.raw_log import SUFFIX
from thresher.pipelines.ingest.ingest_unit import (
    IngestUnit,
    ingest_unit,
    make_way,
)
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.pipelines.ingest.mcap_records import names_thresher
from thresher.pipelines.ingest.report import (
    REPORT,
    IngestReport,
    RecordingReport,
    listed_logs,
)
from thresher.pipelines.ingest.sources import Found, find_all
from thresher.pipelines.only_one import only_one
from thresher.pipelines.stage import local_options, run_stage

_LOCK = ".lock"


def ingest(
    sources: Sequence[Path],
    mapping: Path,
    out: Path,
    options: Optional[PipelineOptions] = None,
    reader_options: Mapping[str, str] = MappingProxyType({}),
    format: str = "",
) -> IngestReport:
    """Turns recordings into raw logs, one each, several at a time.

    A second call goes on from what is there; a recording or a mapping that has changed
    is ingested anew. The bytes of a raw log depend on the recording and the mapping
    alone.

    Args:
      sources: Recordings, or folders in which they are looked for.
      mapping: The YAML file that says what they mean.
      out: Folder of the raw logs, and of `ingest.json`, which says what became of each
        recording and message.
      options: Beam's; None for this machine's processors.
      reader_options: Of the reader, beside those that the mapping names.
      format: Overrules what the mapping says of it.

    Raises:
      UserError: The mapping or a source cannot be used, another ingest is at work in
        the folder, or not one episode came of all recordings, with the first reason;
        the report is written nevertheless.
    """
    meaning = load_mapping(mapping)
    meaning = dataclasses.replace(
        meaning,
        options={**meaning.options, **reader_options},
        format=format or meaning.format,
    )
    found = _outside(find_all(sources, meaning.format), out)
    require_writable(out)
    with only_one(out / _LOCK, "ingest"):
        units = [ingest_unit(one, meaning, out) for one in found]
        for unit in units:
            _forget_lost(unit)
        make_way(units, out)
        run_stage("ingest (bytes)", units, options or local_options(0), _note)
        reports = [RecordingReport.from_json(unit.path.read_text()) for unit in units]
        report = IngestReport(meaning.digest(), reports)
        atomic_write(out / REPORT, report.to_json())
        if report.episodes == 0:
            raise UserError(_nothing(report, out))
        # What another mapping made of recordings that this one makes nothing of.
        for unit, one in zip(units, reports):
            if not one.log and not one.error:
                unit.log.unlink(missing_ok=True)
    return report


def _outside(found: Sequence[Found], out: Path) -> list[Found]:
    """Returns recordings that are not what an earlier ingest wrote.

    Raises:
      UserError: One that is not lies in the output folder, or around it.
    """
    own = out.resolve()
    outside = []
    for one in found:
        path = one.path.resolve()
        if path in (own, *own.parents):
            raise UserError(
                f"the output folder {out} lies in the recording {one.path}; choose "
                "another with --out"
            )
        if own not in path.parents:
            outside.append(one)
        elif not (one.path.suffix == SUFFIX and names_thresher(one.path)):
            raise UserError(
                f"the recording {one.path} lies in the output folder {out}; choose "
                "another with --out"
            )
    return outside


def ingested_logs(out: Path) -> list[Path]:
    """Returns the raw logs of the last ingest into a folder.

    Raises:
      UserError: Nothing was ingested into it, or one of its logs is gone.
    """
    logs = listed_logs(out)
    for log in logs:
        if not log.is_file():
            raise UserError(f"{log} is gone; run the same `thresher ingest` again")
    return logs


def _forget_lost(unit: IngestUnit) -> None:
    """Removes the report of a raw log that somebody removed."""
    if not unit.path.exists():
        return
    try:
        report = RecordingReport.from_json(unit.path.read_text())
    except (ValueError, TypeError):
        unit.path.unlink()
        return
    if report.log and not unit.log.is_file():
        unit.path.unlink()


def _note(done: Sequence[IngestUnit]) -> str:
    return f"{len(done)} recordings"


def _reasons(report: RecordingReport) -> list[str]:
    """Returns why nothing came of a recording, the gravest first."""
    found = [report.error, *(e["reasons"][0] for e in report.quarantined)]
    return [why for why in (*found, report.damage, *report.notes) if why]


def _nothing(report: IngestReport, out: Path) -> str:
    reasons = [why for r in report.recordings for why in _reasons(r)]
    first = reasons[0] if reasons else "they hold none of what the mapping looks for"
    return (
        f"not one episode came of {len(report.recordings)} recordings: {first} (all "
        f"reasons are in {out / REPORT})"
    )
