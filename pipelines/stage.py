"""A stage of heavy work: units that each leave one file, run by Beam, reconciled.

A Beam run that ended well is no proof that every element was worked on: runners have
been seen to lose some, and may repeat others. So a unit's file is the proof, written
aside and renamed when whole; after each run, units without their file are run again.
The same rule makes every stage resumable: what is there is not done twice.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write
from thresher.episodes.progress import ProgressBar, progress

MAX_ROUNDS = 3
_POLL_SECONDS = 0.5
# Refusals of this process's units that could not be left in a file.
_UNWRITTEN: list[str] = []


class Unit(Protocol):
    """A piece of work that is a pure function of what it holds.

    Attributes:
      path: The file that is there when, and only when, the unit is done.
      size: How much of the stage it is, in the progress bar's units.
    """

    @property
    def path(self) -> Path:
        """The file that says it is done."""
        ...

    @property
    def size(self) -> int:
        """Its part of the stage."""
        ...

    def run(self) -> None:
        """Does the work and leaves `path`, whole, in one rename.

        Raises:
          UserError: What only the user can mend; other units go on.
        """
        ...


class RunUnits(beam.PTransform):
    """Runs units wherever the runner puts them; elements are units, not data."""

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Returns the paths of the units that were run."""
        return units | "Spread" >> beam.Reshuffle() | "Run" >> beam.Map(_run)


def _run(unit: Unit) -> str:
    """Runs a unit; a user error is left in a file, since runners bury exceptions."""
    if not unit.path.exists():
        try:
            unit.run()
        except UserError as error:
            _refuse(unit, str(error))
        except OSError as error:
            _refuse(unit, f"{error}; mend that, and the same command goes on")
    return str(unit.path)


def _refuse(unit: Unit, why: str) -> None:
    try:
        atomic_write(_refusal(unit), why)
    except OSError:
        # The disk is full, say. This reaches runs whose workers are threads.
        _UNWRITTEN.append(why)


def _refusal(unit: Unit) -> Path:
    return unit.path.with_name(f"{unit.path.name}.refused")


def local_options(workers: int, mode: str = "multi_processing") -> PipelineOptions:
    """Returns options for this machine.

    Args:
      workers: How many; 0 for one a processor. One runs in this process.
      mode: 'multi_processing', or 'multi_threading' for units that have their work
        done by processes of their own.
    """
    count = workers or os.cpu_count() or 1
    flags = ["--default_sdk_harness_log_level=ERROR"]
    if count > 1:
        flags += [
            "--runner=DirectRunner",
            f"--direct_running_mode={mode}",
            f"--direct_num_workers={count}",
        ]
    else:
        flags += ["--runner=FnApiRunner"]
    return PipelineOptions(flags)


def run_stage(
    title: str,
    units: Sequence[Unit],
    options: PipelineOptions,
    note: Callable[[Sequence[Any]], str] = lambda done: "",
) -> None:
    """Runs the units that are not done, until all are.

    Args:
      title: Of the progress bar.
      units: All of the stage, done or not; paths must differ.
      options: Beam's, which choose runner and workers.
      note: Called with the done units, returns what the bar should say beside.

    Raises:
      UserError: A unit refused its work, in its own words; or units are still missing
        after `MAX_ROUNDS` runs, with their names. All others are done.
    """
    paths = [unit.path for unit in units]
    if len(set(paths)) != len(paths):
        raise ValueError("two units of a stage would write the same file")
    done = [unit for unit in units if unit.path.exists()]
    total = sum(unit.size for unit in units)
    with progress(title, total, sum(unit.size for unit in done)) as bar:
        with _watching(units, bar, note):
            for _ in range(MAX_ROUNDS):
                pending = [unit for unit in units if not unit.path.exists()]
                if not pending:
                    break
                _run_pipeline(pending, options)
                _raise_refusals(pending)
        missing = [unit for unit in units if not unit.path.exists()]
        if missing:
            raise _missing_error(title, missing)
        bar.update(total, note(list(units)))


def _run_pipeline(units: Sequence[Unit], options: PipelineOptions) -> None:
    # Workers that repeat "Done consuming work" would drown the progress bar; errors are
    # logged beside being raised, and some more on the way out of an interrupted run.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    # A few units are not worth starting processes for.
    if len(units) == 1 and _is_local(options):
        options = local_options(1)
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | beam.Create(list(units)) | RunUnits()


def _is_local(options: PipelineOptions) -> bool:
    return options.view_as(DirectOptions).direct_num_workers > 1


@contextmanager
def _watching(
    units: Sequence[Unit], bar: ProgressBar, note: Callable[[Sequence[Any]], str]
) -> Iterator[None]:
    """Moves the bar by the files that are there, whoever wrote them."""
    stop = threading.Event()

    def watch() -> None:
        pending = list(units)
        done: list[Unit] = []
        while not stop.wait(_POLL_SECONDS):
            arrived = [unit for unit in pending if unit.path.exists()]
            if arrived:
                done += arrived
                gone = {id(unit) for unit in arrived}
                pending = [unit for unit in pending if id(unit) not in gone]
                bar.update(sum(unit.size for unit in done), note(done))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _raise_refusals(units: Sequence[Unit]) -> None:
    """Raises what units left, having removed it: the next session may fare better."""
    said = list(_UNWRITTEN)
    _UNWRITTEN.clear()
    for unit in units:
        if _refusal(unit).exists():
            said.append(_refusal(unit).read_text())
            _refusal(unit).unlink()
    if said:
        others = f" ({len(said)} pieces of work failed)" if len(said) > 1 else ""
        raise UserError(said[0] + others)


def _missing_error(title: str, missing: Sequence[Unit]) -> UserError:
    names = ", ".join(unit.path.name for unit in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return UserError(
        f"{title}: {len(missing)} pieces of work are still missing after {MAX_ROUNDS} "
        f"runs ({names}{more}); the runner loses elements: run the same command again, "
        "with fewer workers"
    )
