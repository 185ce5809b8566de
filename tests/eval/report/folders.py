"""Small run folders, made with the project's own writers, for tests of reports."""

from __future__ import annotations

from pathlib import Path

from thresher.episodes.index import index_table, write_index
from thresher.episodes.raw_log import RawLogWriter
from thresher.episodes.run_record import recording
from thresher.eval.evaluate import summarise, summary_row
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode


def evaluation_folder(folder: Path, *, successes: int, trials: int, kind: str) -> Path:
    """An evaluation of tiny episodes, as `evaluate` leaves it."""
    folder.mkdir(parents=True)
    episodes = [tiny_episode(n, success=n < successes) for n in range(trials)]
    with RawLogWriter(folder / "episodes.mcap", TINY_SPEC) as log:
        for episode in episodes:
            log.write(episode)
    rows = [
        {**summary_row(e), "behaviour_kind": kind, "policy_id": kind} for e in episodes
    ]
    configuration = {"policy": kind, "object_set": "eval", "seed": 7}
    with recording("evaluate", folder / "run.json", configuration) as record:
        record.results.update(summarise(rows), episodes=rows)
    return folder


def training_folder(folder: Path) -> Path:
    """A finished training run with two metrics."""
    folder.mkdir(parents=True)
    lines = [
        f"{step},{name},{1 / step}" for step in (1, 2, 3) for name in ("loss", "q")
    ]
    (folder / "metrics.csv").write_text("\n".join(["step,name,value", *lines]) + "\n")
    with recording("train", folder / "run.json", {"learner": "qt-opt"}) as record:
        record.results.update(
            dataset_digest="d" * 64, policy_id="qt-opt", policy_version="v1"
        )
    return folder


def version_folder(folder: Path) -> Path:
    """A version's side files: what a report reads of a version."""
    folder.mkdir(parents=True)
    (folder / "checksums.json").write_text("{}")
    (folder / "spec.json").write_text(TINY_SPEC.to_json())
    (folder / "lineage.json").write_text(
        '{"success_ratio": [{"name": "train, before", "successes": 26,'
        ' "failures": 74}, {"name": "train, after", "successes": 26, "failures": 26}]}'
    )
    write_index(index_table([]), folder / "episodes.parquet")
    return folder
