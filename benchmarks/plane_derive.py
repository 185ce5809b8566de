"""Deriving a balanced version beside building it; verifying; asking the index.

Start-up is apart in every row: it is what the same command takes on the version of a
handful of episodes.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq

from thresher.benchmarks.plane_index import write_generated_index
from thresher.benchmarks.plane_inputs import Inputs
from thresher.benchmarks.plane_rates import (
    build,
    sealed_parent,
    tfds_build,
    thresher_derive,
)
from thresher.benchmarks.plane_runs import THRESHER, Results, run
from thresher.episodes.version import EPISODES
from thresher.pipelines.conditions import columns_of
from thresher.pipelines.query import episodes_where

SIZES = ("handful", "all")
INDEX_ROWS = 1_000_000
CONDITIONS = (
    "success and length > 5 and robot = 'gantry gripper (PyBullet)'",
    "policy_id = 'qt_opt' and saturated_share > 0.6",
    "list_contains(object_ids, 'random_urdfs/017')",
    "environment LIKE '%\"quarter_turns\": 2%' and not success",
)


def measure_derive(inputs: Inputs, results: Results, repeats: int) -> None:
    """Makes the balanced version in four ways, in turn."""
    for repeat in range(repeats):
        for size in SIZES:
            logs = inputs.handful if size == "handful" else inputs.logs
            ways: dict[str, Callable[[], dict[str, Any]]] = {
                "derive": partial(_derive, inputs, size),
                "thresher 1": partial(build, inputs, "thresher 1", logs, True),
                "tfds beam": partial(_peer, inputs, size),
            }
            for way, measure in ways.items():
                results.get(f"derive/{way}/{size}/{repeat}", measure)


def measure_verify(inputs: Inputs, results: Results, repeats: int) -> None:
    """Verifies the version of all copies, whose shards are then in the page cache."""
    for repeat in range(repeats):
        for size in ("handful", "many"):
            what = f"verify/{size}/{repeat}"
            if not results.one(what):
                results.get(what, partial(_verify, inputs, _parent(inputs, size)))


def measure_queries(inputs: Inputs, results: Results, repeats: int) -> None:
    """Asks an index of a million rows, from memory and from its file."""
    path = inputs.work / f"index_{INDEX_ROWS}.parquet"
    if not path.exists():
        write_generated_index(path, INDEX_ROWS)
    for condition in CONDITIONS:
        what = f"query/{condition}"
        results.get(what, partial(_query, path, condition, repeats))


def _parent(inputs: Inputs, size: str) -> Path:
    """Returns the sealed version of all episodes of a size; builds it if need be."""
    logs = {"handful": "handful", "all": "logs", "many": "many"}[size]
    return sealed_parent(inputs, size, getattr(inputs, logs))


def _derive(inputs: Inputs, size: str) -> dict[str, Any]:
    parent, target = _parent(inputs, size), inputs.work / "derived" / size
    shutil.rmtree(target, ignore_errors=True)
    command = thresher_derive(parent, target, ("--ratio", "0.5"))
    taken = run(command, inputs.work / "logs_of_runs" / "derive.txt")
    (sealed,) = target.glob("*/*")
    rows = pq.ParquetFile(sealed / EPISODES).metadata.num_rows
    length = sum(path.stat().st_size for path in sealed.iterdir())
    return {**taken.to_dict(), "episodes": rows, "bytes": length}


def _balanced_files(inputs: Inputs, size: str) -> Path:
    """Returns the peer's files of the episodes that are in the derived version."""
    logs = inputs.handful if size == "handful" else inputs.logs
    (sealed,) = (inputs.work / "derived" / size).glob("*/*")
    names = pq.read_table(sealed / EPISODES, columns=["source_id"])["source_id"]
    wanted = {int(name.split("/")[1]) for name in names.to_pylist()}
    folder = inputs.work / f"balanced_{size}"
    shutil.rmtree(folder, ignore_errors=True)
    for file in inputs.files(logs).glob("*/*.npz"):
        if int(file.stem.split("_")[1]) in wanted:
            link = folder / file.parent.name / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
    return folder


def _peer(inputs: Inputs, size: str) -> dict[str, Any]:
    target = inputs.work / "built" / "peer_balanced"
    shutil.rmtree(target, ignore_errors=True)
    command = tfds_build(_balanced_files(inputs, size), target, "beam")
    taken = run(command, inputs.work / "logs_of_runs" / "peer_balanced.txt")
    shutil.rmtree(target)
    return taken.to_dict()


def _verify(inputs: Inputs, version: Path) -> dict[str, Any]:
    log = inputs.work / "logs_of_runs" / "verify.txt"
    taken = run([THRESHER, "verify", str(version)], log)
    size = sum(path.stat().st_size for path in version.iterdir())
    return {**taken.to_dict(), "bytes": size}


def _query(path: Path, condition: str, repeats: int) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {"with_reading": [], "in_memory": []}
    for _ in range(repeats):
        began = time.perf_counter()
        names = pq.read_schema(path).names
        needed = {*columns_of(condition, names), "episode_id"}
        table = pq.read_table(path, columns=[n for n in names if n in needed])
        read = time.perf_counter()
        found = episodes_where(table, condition, ["episode_id"])
        ended = time.perf_counter()
        seconds["with_reading"].append(ended - began)
        seconds["in_memory"].append(ended - read)
    middle = {name: median(values) for name, values in seconds.items()}
    return {"rows": found.num_rows, **middle}
