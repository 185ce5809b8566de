"""Builds a version: index → select → plan → write → prove → seal.

All work happens in `.<version>.building` beside the version-to-be. Nothing there is
deleted by a failure: the same build goes on from the logs indexed and the shards
written. The version appears, whole, in one rename.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions

from thresher.episodes.errors import UserError
from thresher.episodes.files import (
    exchange,
    require_free_space,
    require_local,
    require_writable,
    sha256_file,
)
from thresher.episodes.index import read_index
from thresher.episodes.memory import map_large_blocks
from thresher.episodes.run_record import recording
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.version import Version, open_version
from thresher.pipelines.find_sources import FoundSources, find_sources, inputs
from thresher.pipelines.index_logs import IndexUnit
from thresher.pipelines.ingest.annotations import AnnotationReport
from thresher.pipelines.label_index import Labelling, label_index
from thresher.pipelines.only_one import only_one
from thresher.pipelines.plan import Plan, make_plan
from thresher.pipelines.prove import ProofUnit
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.runners import local_options
from thresher.pipelines.seal import Sealing, write_side_files
from thresher.pipelines.select import Selection, select
from thresher.pipelines.semver import previous_version, require_right_number
from thresher.pipelines.sources import merge_indexes
from thresher.pipelines.stage import run_stage, workers
from thresher.pipelines.workbench import KEPT, Workbench
from thresher.pipelines.write import ShardUnit, shard_units
from thresher.pipelines.write_plan import write_plan

RUN = "run.json"
# Changes when the same logs would be indexed differently.
_INDEX_FORMAT = "3"
# Changes when shards, or what is written beside them, are made differently.
_SHARD_FORMAT = "3"
_PROOF_ROUNDS = 2
_NUMBERED = ("split", "episode_id", "source_id", "success", "task", "language")


@dataclasses.dataclass(frozen=True)
class Build:
    """One build of one version.

    Attributes:
      recipe: What decides the version.
      root: Folder that the recipe's paths are relative to; the folder of the raw logs
        itself, where the recipe names no sources.
      target: The version's folder: <data_dir>/<name>/<version>.
      options: Beam's; None for this machine's processors.
      alignment: 'rlds', or 'oxe' to convert the episodes of sealed versions.
      overwrite: Replace a version that is there, in the moment the new one is sealed.
    """

    recipe: Recipe
    root: Path
    target: Path
    options: Optional[PipelineOptions] = None
    alignment: str = "rlds"
    overwrite: bool = False

    @property
    def work(self) -> Path:
        """Where unfinished work is kept."""
        return self.target.parent / f".{self.target.name}.building"


def build_version(build: Build) -> Version:
    """Builds a version, or returns the one there if it was built from the same.

    Raises:
      UserError: No logs, logs of different specs, a version of other content under
        the same number, a number that promises less change than there is, another
        build of it under way, too little room, nothing left to write, a version that
        is to be made from itself, an address where a folder is needed.
    """
    require_local(build.target)
    _require_other_sources(build)
    # Workers are processes of their own, and left as they are.
    map_large_blocks()
    options = build.options or local_options(0)
    if build.target.exists() and not build.overwrite:
        return _same_version(build)
    require_writable(build.work)
    with only_one(build.work / "lock", "build"):
        if build.target.exists() and not build.overwrite:
            # Sealed by another build since it was looked for.
            version = _same_version(build)
            shutil.rmtree(build.work, ignore_errors=True)
            return version
        configuration = {"recipe": build.recipe.to_dict(), "root": str(build.root)}
        with recording("build", build.work / RUN, configuration) as record:
            with workers(options):
                version = _build(build, options)
            record.results.update(
                episodes=version.lineage["episodes"]["written"],
                dataset_digest=version.digest,
            )
        (build.work / RUN).replace(build.target / RUN)
        # Another build may just be looking into it; then that one removes it.
        shutil.rmtree(build.work, ignore_errors=True)
    return version


def _require_other_sources(build: Build) -> None:
    """Refuses to replace a version with one that is made from it.

    Raises:
      UserError: The version-to-be is among its own sources.
    """
    for source in build.recipe.sources:
        if not source.version:
            continue
        path = (build.root / Path(source.version).expanduser()).resolve()
        if path == build.target.resolve():
            raise UserError(
                f"{build.target} would replace {source.version}, which it is made "
                "from, and nobody could tell any more what that was; choose another "
                "version number, name or data folder"
            )


def _build(build: Build, options: PipelineOptions) -> Version:
    recipe = build.recipe
    found = find_sources(build.recipe, build.root, build.work, options, build.alignment)
    index, labels = _labelled(build, found, _index(build, found, options))
    selection = select(index, recipe, found.sources)
    plan = _plan(selection, recipe)
    bench = selection.bench
    require_free_space(build.work, int(bench.size[plan.rows].sum() * 1.2))
    folder = _version_folder(build, plan, found.spec, index)
    plan_file = folder.parent / f"{folder.name}.plan.parquet"
    if not plan_file.exists():
        write_plan(plan, index, bench.weight, bench.flags, plan_file)
    _check_number(build, found.spec, plan_file)
    units = shard_units(
        plan,
        plan_file,
        folder,
        found.sources,
        found.spec,
        recipe.name,
        recipe.plan.file_format,
    )
    # From here on, only the plan's file is asked; these grow with the version.
    del plan
    bench.forget_numbers()
    _write_and_prove(units, options)
    sealing = Sealing(
        folder=folder,
        recipe=recipe,
        spec=found.spec,
        selection=selection,
        units=units,
        sources=found.sources,
        parents=found.versions,
        ingested=found.ingested,
        inputs=inputs(recipe, build.root, _known_digests(found, bench)),
        labels=labels,
    )
    _seal(build, sealing)
    return open_version(build.target)


def _known_digests(found: FoundSources, bench: Workbench) -> dict[str, str]:
    """Returns the digests of inputs that were read: nothing is read twice for them."""
    known: dict[str, str] = {}
    for _, table in bench.batches(["source", "file", "log_digest"]):
        for number, file, digest in zip(*(c.to_pylist() for c in table.columns)):
            known[f"{found.sources[number].name}: {file}"] = digest
    for number, report in found.ingested.items():
        for one in report.recordings:
            known[f"{found.sources[number].name}: {one.source}"] = one.sha256
    return known


def _index(build: Build, found: FoundSources, options: PipelineOptions) -> Path:
    """Indexes every log once and returns the numbered index of all sources."""
    folder = build.work / "index"
    folder.mkdir(exist_ok=True)
    units: list[list[IndexUnit]] = [
        [
            IndexUnit(
                root=source.root,
                log=log,
                spec=found.spec,
                path=folder / _index_name(log, source.root, found.spec, source.reader),
                size=log.stat().st_size,
                reader=source.reader,
            )
            for log in logs
        ]
        for source, logs in zip(found.sources, found.logs)
    ]
    # Two sources may take different episodes of the same logs.
    once = {unit.path: unit for each in units for unit in each}
    run_stage("index and check (bytes)", list(once.values()), options)
    index = build.work / "index.parquet"
    paths = [[unit.path for unit in each] for each in units]
    if not merge_indexes(found.sources, paths, index):
        raise UserError(
            "no episode is there to write: the sources hold none; check that recording "
            "or ingesting them kept any"
        )
    return index


def _labelled(
    build: Build, found: FoundSources, index: Path
) -> tuple[Path, Optional[AnnotationReport]]:
    """Returns the index with the labels of annotation files in it."""
    if not found.labels:
        return index, None
    labelling = Labelling(found.labels, build.recipe.label_rewards)
    return label_index(index, labelling, found.sources, found.spec)


def _index_name(log: Path, root: Path, spec: EpisodeSpec, reader: str) -> str:
    """Names an index by what it depends on, so that a changed log is read again."""
    state = log.stat()
    parts = (
        _INDEX_FORMAT,
        log.relative_to(root).as_posix(),
        str(log.resolve()),
        str(state.st_size),
        str(state.st_mtime_ns),
        spec.digest(),
        reader,
    )
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:24] + ".parquet"


def _plan(selection: Selection, recipe: Recipe) -> Plan:
    bench = selection.bench
    rows = bench.kept
    if not len(rows):
        raise _nothing_left(bench)
    return make_plan(
        rows,
        bench.ids[rows],
        bench.split[rows],
        bench.size[rows],
        bench.copies[rows],
        bench.split_names,
        recipe.plan,
    )


def _nothing_left(bench: Workbench) -> UserError:
    """Returns what is told where everything was taken out: no version will show it."""
    told = [
        f"{stage}: {', '.join(f'{rule} ({count})' for rule, count in rules.items())}"
        for stage, rules in bench.counts().items()
    ]
    (first, *_) = np.flatnonzero(bench.stage > KEPT).tolist()
    return UserError(
        f"no episode is left to write, of {len(bench.stage)} that were indexed "
        f"({'; '.join(told)}). The first, of {bench.text('file', first)}: "
        f"{bench.why(first)[1]}. Change the condition, the check's threshold or the "
        "recording, or say in the recipe what to release"
    )


def _version_folder(build: Build, plan: Plan, spec: EpisodeSpec, index: Path) -> Path:
    """Returns the folder of the shards; what another plan left is removed."""
    settings = "/".join(
        (
            _SHARD_FORMAT,
            json.dumps(build.recipe.to_dict(), sort_keys=True),
            spec.digest(),
            sha256_file(index),
        )
    )
    folder = build.work / f"version-{plan.digest(settings)}"
    for other in build.work.glob("version-*"):
        if other.name.split(".")[0] == folder.name:
            continue
        if other.is_dir():
            shutil.rmtree(other)
        else:
            other.unlink()
    folder.mkdir(exist_ok=True)
    return folder


def _check_number(build: Build, spec: EpisodeSpec, plan_file: Path) -> None:
    before = previous_version(build.target)
    if before is not None:
        planned = read_index(plan_file, _NUMBERED)
        require_right_number(build.target, before, spec, planned)


def _write_and_prove(units: Sequence[ShardUnit], options: PipelineOptions) -> None:
    """Writes shards until all are proven; a shard that is not is written again."""
    problems: dict[ShardUnit, list[str]] = {}
    for _ in range(_PROOF_ROUNDS):
        run_stage("write", units, options)
        problems = unproven_shards(units, options)
        if not problems:
            return
        for unit in problems:
            unit.path.unlink(missing_ok=True)
    named = "; ".join(
        f"{unit.file.name}: {', '.join(found[:3])}" for unit, found in problems.items()
    )
    raise UserError(
        f"shards are not as planned after {_PROOF_ROUNDS} attempts ({named}); check "
        "the disk and the sources, and run the same command again"
    )


def unproven_shards(
    units: Sequence[ShardUnit], options: PipelineOptions
) -> dict[ShardUnit, list[str]]:
    """Returns what is wrong with each shard that is not as planned."""
    proofs = [ProofUnit(unit) for unit in units]
    for proof in proofs:
        proof.forget_if_stale()
    run_stage("prove", proofs, options)
    found = {proof.shard: proof.problems() for proof in proofs}
    return {unit: problems for unit, problems in found.items() if problems}


def _seal(build: Build, sealing: Sealing) -> None:
    write_side_files(sealing)
    if build.target.exists() and not build.overwrite:
        raise UserError(
            f"{build.target} appeared while it was built here; compare the two with "
            "`thresher diff`, or build again with --overwrite"
        )
    for hidden in sealing.folder.glob(".*"):
        hidden.unlink()
    try:
        _put_in_place(build, sealing.folder)
    except OSError as error:
        raise UserError(
            f"cannot put the version at {build.target}: {error.strerror}; what was "
            "there stays; make it a folder that can be renamed, and the same command "
            "goes on"
        ) from error


def _put_in_place(build: Build, folder: Path) -> None:
    if not build.target.exists():
        folder.rename(build.target)
        return
    # A kill on either side of this moment leaves the old version or the new one there,
    # and the other under a name that no later build takes for its own.
    replacing = build.work / "replacing"
    shutil.rmtree(replacing, ignore_errors=True)
    folder.rename(replacing)
    try:
        exchange(replacing, build.target)
    except OSError:
        replacing.rename(folder)
        raise


def _same_version(build: Build) -> Version:
    """Returns the version that is there, if these sources and this recipe made it."""
    version = open_version(build.target)
    if version.lineage["recipe"] != build.recipe.to_dict():
        raise _other_content(build, "recipe")
    was, now = version.lineage["inputs"], inputs(build.recipe, build.root)
    if was != now:
        differing = sorted(k for k in {*was, *now} if was.get(k) != now.get(k))
        raise _other_content(build, f"raw logs or parents ({differing[0]} differs)")
    # A build that was killed right after its seal leaves its work behind.
    if build.work.exists():
        with contextlib.suppress(UserError), only_one(build.work / "lock", "build"):
            shutil.rmtree(build.work, ignore_errors=True)
    return version


def _other_content(build: Build, what: str) -> UserError:
    return UserError(
        f"{build.target} exists and was built from other {what}; versions never "
        "change: raise the version number, or build again with --overwrite"
    )
