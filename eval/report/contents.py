"""What a report tells, read from the folders it is given."""

from __future__ import annotations

import csv
import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from thresher.episodes.errors import UserError
from thresher.episodes.run_record import RunRecord
from thresher.episodes.version import CHECKSUMS, Version, open_version
from thresher.eval.evaluate import proportion, read_episodes
from thresher.eval.intervals import Proportion
from thresher.eval.report.film_strip import FilmStrip, choose

RUN = "run.json"
METRICS = "metrics.csv"
STRIPS_EACH = 2


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One policy's evaluation."""

    folder: Path
    record: RunRecord
    rate: Proportion
    strips: list[FilmStrip]

    @property
    def label(self) -> str:
        """The policy's name for people: what it is and how it came to be."""
        policy_id = str(self.record.results["policy_id"])
        if self.is_learned:
            return f"{policy_id}, learned offline"
        collector = " (the collector)" if policy_id == "scripted" else ""
        return policy_id + collector

    @property
    def is_learned(self) -> bool:
        """Whether the policy was learned from data."""
        return bool(self.record.results["behaviour_kind"] == "learned")

    @property
    def on_unseen_objects(self) -> bool:
        """Whether the objects were never seen in training."""
        return self.record.configuration["object_set"] == "eval"


@dataclasses.dataclass(frozen=True)
class Training:
    """One training run: its record, and metric name → (step, value) pairs."""

    folder: Path
    record: RunRecord
    metrics: dict[str, list[tuple[int, float]]]


@dataclasses.dataclass
class Contents:
    """Everything a report is made of; any part may be missing."""

    collections: list[RunRecord] = dataclasses.field(default_factory=list)
    builds: list[RunRecord] = dataclasses.field(default_factory=list)
    versions: list[Version] = dataclasses.field(default_factory=list)
    trainings: list[Training] = dataclasses.field(default_factory=list)
    evaluations: list[Evaluation] = dataclasses.field(default_factory=list)

    @property
    def stations(self) -> list[RunRecord]:
        """The record of every station that was run, in the road's order."""
        return [
            *self.collections,
            *self.builds,
            *(training.record for training in self.trainings),
            *(evaluation.record for evaluation in self.evaluations),
        ]


def read_contents(folders: Sequence[Path]) -> Contents:
    """Reads run folders and dataset versions, each known by what is in it.

    Raises:
      UserError: A folder that is neither, or a run that has not finished.
    """
    contents = Contents()
    for folder in folders:
        if (folder / CHECKSUMS).exists():
            _add_version(contents, folder)
        elif (folder / RUN).exists():
            _add_run(contents, folder)
        else:
            raise UserError(
                f"{folder} is neither a run folder (no {RUN}) nor a dataset version "
                f"(no {CHECKSUMS}); give folders that collect, tfds build, train or "
                "evaluate made"
            )
    return contents


def _add_version(contents: Contents, folder: Path) -> None:
    contents.versions.append(open_version(folder))
    if (folder / RUN).exists():
        contents.builds.append(RunRecord.read(folder / RUN))


def _add_run(contents: Contents, folder: Path) -> None:
    record = RunRecord.read(folder / RUN)
    if not record.finished:
        raise UserError(
            f"the {record.station} run in {folder} has not finished; run its command "
            f"again to go on: {' '.join(record.command)}"
        )
    if record.station == "collect":
        contents.collections.append(record)
    elif record.station == "train":
        contents.trainings.append(Training(folder, record, _metrics(folder)))
    elif record.station == "evaluate":
        strips = choose(read_episodes(folder), STRIPS_EACH)
        contents.evaluations.append(
            Evaluation(folder, record, proportion(record), strips)
        )
    else:
        raise UserError(
            f"{folder} holds a run of {record.station!r}, which no report tells of"
        )


def _metrics(folder: Path) -> dict[str, list[tuple[int, float]]]:
    metrics: dict[str, list[tuple[int, float]]] = defaultdict(list)
    path = folder / METRICS
    if path.exists():
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                metrics[row["name"]].append((int(row["step"]), float(row["value"])))
    return dict(metrics)
