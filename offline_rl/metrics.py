"""Scalars of a run, for TensorBoard and as a plain table."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import tensorflow as tf

from thresher.episodes.files import atomic_write

COLUMNS = ("step", "name", "value")


class MetricsWriter:
    """Writes scalars to <run>/metrics.csv (step,name,value) and TensorBoard.

    A context manager. Opened again at an earlier step than was written, it drops the
    later rows: those steps will be taken again.
    """

    def __init__(self, run_dir: Path, first_step: int) -> None:
        """Opens the run's metrics, keeping what is there up to `first_step`."""
        path = run_dir / "metrics.csv"
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in lines[1:] if _step_of(line) <= first_step]
        atomic_write(path, "\n".join([",".join(COLUMNS), *kept]) + "\n")
        #: The newest value of each name.
        self.latest = {line.split(",")[1]: float(line.split(",")[2]) for line in kept}
        self._file = open(path, "a", newline="")  # noqa: SIM115  # closed by __exit__
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._board = tf.summary.create_file_writer(str(run_dir / "tensorboard"))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Adds scalars of a step."""
        with self._board.as_default(step=step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self._rows.writerows(
            (step, name, f"{value:.6g}") for name, value in scalars.items()
        )
        self._file.flush()
        self.latest.update(scalars)

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._board.close()


def _step_of(line: str) -> float:
    # A line cut off by a kill has no step to keep it by.
    parts = line.split(",")
    return int(parts[0]) if len(parts) == len(COLUMNS) else float("inf")
