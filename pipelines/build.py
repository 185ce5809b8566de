"""Builds a version: index → select → plan → write → prove → seal.

All work happens in `.<version>.building` beside the version-to-be. Nothing there is
deleted by a failure: the same build goes on from the logs indexed and the shards
written. The version appears, whole, in one rename.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from thresher.episodes.errors import UserError
from thresher.episodes.files import require_free_space, require_writable, sha256_file
from thresher.episodes.index import write_index
from thresher.episodes.run_record import recording
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.version import Version, open_version
from thresher.pipelines.index_logs import IndexUnit, common_spec, merge_indexes
from thresher.pipelines.ingest.reader import find_logs
from thresher.pipelines.plan import make_plan, plan_digest
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.seal import unproven_shards, write_side_files
from thresher.pipelines.select import Selection, select
from thresher.pipelines.stage import local_options, run_stage
from thresher.pipelines.write import ShardUnit, shard_units

RUN = "run.json"
# Changes when the same logs would be indexed differently.
_INDEX_FORMAT = "2"
_PROOF_ROUNDS = 2


@dataclasses.dataclass(frozen=True)
class Build:
    """One build of one version.

    Attributes:
      recipe: What decides the version.
      logs: Folder of the raw logs.
      target: The version's folder: <data_dir>/<name>/<version>.
      options: Beam's; None for this machine's processors.
    """

    recipe: Recipe
    logs: Path
    target: Path
    options: Optional[PipelineOptions] = None

    @property
    def work(self) -> Path:
        """Where unfinished work is kept."""
        return self.target.parent / f".{self.target.name}.building"


def build_version(build: Build) -> Version:
    """Builds a version, or returns the one there if it was built from the same.

    Raises:
      UserError: No logs, logs of different specs, a version of other content under
        the same number, another build of it under way, too little room, nothing left
        to write.
    """
    logs = find_logs(build.logs)
    if build.target.exists():
        return _same_version(build, logs)
    require_writable(build.work)
    with _only_build(build.work):
        configuration = {"recipe": build.recipe.to_dict(), "logs": str(build.logs)}
        with recording("build", build.work / RUN, configuration) as record:
            version = _build(build, logs)
            record.results.update(
                episodes=version.index.num_rows, dataset_digest=version.digest
            )
        (build.work / RUN).replace(build.target / RUN)
        shutil.rmtree(build.work)
    return version


def _build(build: Build, logs: list[Path]) -> Version:
    options = build.options or local_options(0)
    spec = common_spec(logs)
    index = _index(build, logs, spec, options)
    selection = select(index, build.recipe)
    plan = make_plan(selection.kept, build.recipe.plan)
    require_free_space(build.work, int(sum(plan["length_bytes"].to_pylist()) * 1.2))
    folder = _version_folder(build, plan, spec)
    plan_file = folder.parent / f"{folder.name}.plan.parquet"
    write_index(plan, plan_file)
    units = shard_units(plan, plan_file, folder, build.logs, spec, build.recipe.name)
    _write_and_prove(units, options)
    _seal(build, folder, spec, plan, units, selection, index)
    return open_version(build.target)


def _index(
    build: Build, logs: list[Path], spec: EpisodeSpec, options: PipelineOptions
) -> pa.Table:
    folder = build.work / "index"
    folder.mkdir(exist_ok=True)
    units = [
        IndexUnit(
            root=build.logs,
            log=log,
            spec=spec,
            path=folder / _index_name(log, build.logs, spec),
            size=log.stat().st_size,
        )
        for log in logs
    ]
    run_stage("index and check (bytes)", units, options)
    return merge_indexes(units)


def _index_name(log: Path, root: Path, spec: EpisodeSpec) -> str:
    """Names an index by what it depends on, so that a changed log is read again."""
    state = log.stat()
    parts = (
        _INDEX_FORMAT,
        log.relative_to(root).as_posix(),
        str(state.st_size),
        str(state.st_mtime_ns),
        spec.digest(),
    )
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:24] + ".parquet"


def _version_folder(build: Build, plan: pa.Table, spec: EpisodeSpec) -> Path:
    """Returns the folder of the shards; shards of another plan are removed."""
    settings = json.dumps(build.recipe.to_dict(), sort_keys=True) + spec.digest()
    folder = build.work / f"version-{plan_digest(plan, settings)}"
    for other in build.work.glob("version-*"):
        if other.name != folder.name and other.is_dir():
            shutil.rmtree(other)
    folder.mkdir(exist_ok=True)
    return folder


def _write_and_prove(units: list[ShardUnit], options: PipelineOptions) -> None:
    """Writes shards until all are proven; a shard that is not is written again."""
    problems: dict[ShardUnit, list[str]] = {}
    for _ in range(_PROOF_ROUNDS):
        run_stage("write", units, options)
        problems = unproven_shards(units)
        if not problems:
            return
        for unit in problems:
            unit.path.unlink(missing_ok=True)
    named = "; ".join(
        f"{unit.file.name}: {', '.join(found[:3])}" for unit, found in problems.items()
    )
    raise UserError(
        f"shards are not as planned after {_PROOF_ROUNDS} attempts ({named}); check "
        "the disk and the raw logs, and run the same command again"
    )


def _seal(
    build: Build,
    folder: Path,
    spec: EpisodeSpec,
    plan: pa.Table,
    units: list[ShardUnit],
    selection: Selection,
    index: pa.Table,
) -> None:
    write_side_files(folder, build.recipe, spec, plan, units, selection, index)
    for hidden in folder.glob(".*"):
        hidden.unlink()
    folder.rename(build.target)


def _same_version(build: Build, logs: list[Path]) -> Version:
    """Returns the version that is there, if these logs and this recipe made it."""
    version = open_version(build.target)
    was = {log["file"]: log["sha256"] for log in version.lineage["raw_logs"]}
    now = {log.relative_to(build.logs).as_posix(): sha256_file(log) for log in logs}
    if was != now or version.lineage["recipe"] != build.recipe.to_dict():
        what = "raw logs" if was != now else "recipe"
        raise UserError(
            f"{build.target} exists and was built from other {what}; versions never "
            "change: raise the version number, or build again with --overwrite"
        )
    return version


@contextlib.contextmanager
def _only_build(work: Path) -> Iterator[Any]:
    with open(work / "lock", "w") as file:
        try:
            # The system lets go of the lock when its holder dies, however it dies.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another build is at work in {work}; wait for it, or stop it"
            ) from error
        yield file
