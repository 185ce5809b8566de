"""A stage of heavy work: units that each leave one file, run by Beam, reconciled.

A Beam run that ended well is no proof that every element was worked on: runners have
been seen to lose some, and may repeat others. A run that failed is no proof of the
opposite. So a unit's file is the proof, written aside and renamed when whole; after
each run, units without their file are run again. The same rule makes every stage
resumable: what is there is not done twice.
"""

from __future__ import annotations

import logging
import pickle
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Optional

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

from thresher.episodes.errors import UserError
from thresher.episodes.memory import reusing_blocks
from thresher.episodes.progress import ProgressBar, progress
from thresher.pipelines.arrivals import Arrivals, take_notes
from thresher.pipelines.flink import on_flink, stop_job_servers
from thresher.pipelines.runners import (
    is_flink,
    is_local,
    local_options,
    local_processes,
)
from thresher.pipelines.unit import Kind, Refusal, Unit, run_unit
from thresher.pipelines.unit_hosts import crowd_of, open_crowd

# Runs in a row that get nothing done before the stage is given up.
MAX_ROUNDS = 3
# A Beam run holds all its elements, and some runners send them in one message: this
# many units are a few megabytes, and minutes of work for any cluster.
WAVE_UNITS = 10_000
# Beam's local runner takes 10 kB for each and 0.3 s for a run: many, for one process,
# to be worth starting a run for.
_LOCAL_WAVE_UNITS = 250
# Units pickled together share what they have in common, their spec above all.
_PACK_UNITS = 500
_POLL_SECONDS = 0.5
# Looking may take this part of the time, however many files a folder has.
_POLL_SHARE = 0.05
# What lost a worker may be mending itself.
_PATIENCE_SECONDS = 2.0
_REASON_LETTERS = 400
# Refusals of this process's units that could not be left in a file.
_UNWRITTEN: list[Refusal] = []
# Set when this process should start no unit any more.
_STOPPED = threading.Event()


class RunUnits(beam.PTransform):
    """Runs units wherever the runner puts them; elements are units, not data."""

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Returns the paths of the units that were run."""
        return units | "Spread" >> beam.Reshuffle() | "Run" >> beam.ParDo(_RunUnit())


class _RunUnit(beam.DoFn):
    """Runs a unit here, or hands it to the processes that this process has open."""

    # Beam reads the signature for what its elements are: no more arguments than these.
    def process(self, element: Any) -> Iterator[str]:
        crowd = open_crowd()
        if crowd is None:
            _run(element)
        else:
            crowd.submit(element)
        yield str(element.path)

    def finish_bundle(self) -> None:
        crowd = open_crowd()
        if crowd is not None:
            crowd.finish()


def _run(unit: Unit) -> str:
    """Runs a unit in this process; what it refuses is left in a file."""
    if _STOPPED.is_set():
        return str(unit.path)
    refusal = run_unit(unit)
    if refusal is not None and not refusal.kept:
        # The disk is full, say. This reaches runs whose workers are threads.
        _UNWRITTEN.append(refusal)
    return str(unit.path)


def run_stage(
    title: str,
    units: Sequence[Unit],
    options: PipelineOptions,
    note: Callable[[Sequence[Any]], str] = lambda done: "",
) -> None:
    """Runs the units that are not done, until all are.

    A run that the runner breaks off (a lost task manager, a killed worker, a cut
    connection) is followed by another for what is missing, and its reason is shown.

    Args:
      title: Of the progress bar.
      units: All of the stage, done or not; paths must differ.
      options: Beam's, which choose runner and workers.
      note: Called with the done units, returns what the bar should say beside.

    Raises:
      UserError: A unit refused its work, in its own words; or units are still missing
        after `MAX_ROUNDS` runs in a row that did none of them, with their names and the
        runner's reason. All others are done.
      UnitCrashedError: A unit met a mistake in the code.
    """
    arrivals = Arrivals(units)
    arrivals.look()
    # What an earlier session left unread says nothing about this one.
    take_notes(arrivals.missing)
    arrivals.forget_progress()
    total = sum(unit.size for unit in units)
    already = sum(unit.size for unit in arrivals.done)
    # Without workers, units run in this process.
    with progress(title, total, already) as bar, reusing_blocks():
        _run_rounds(title, arrivals, options, bar, note)
        bar.update(total, note(list(units)))


@contextmanager
def workers(options: PipelineOptions) -> Iterator[None]:
    """Keeps worker processes of this machine from one stage to the next.

    Starting them and importing what units need takes seconds. Without this, each stage
    starts its own. Workers elsewhere are the runner's to keep.
    """
    with ExitStack() as stack:
        if processes := local_processes(options):
            stack.enter_context(crowd_of(processes))
        yield


class UnitCrashedError(RuntimeError):
    """A unit raised what it should not; the message holds the worker's traceback."""


def _run_rounds(
    title: str,
    arrivals: Arrivals,
    options: PipelineOptions,
    bar: ProgressBar,
    note: Callable[[Sequence[Any]], str],
) -> None:
    in_vain, reason = 0, ""
    while arrivals.missing:
        if in_vain == MAX_ROUNDS:
            raise _missing_error(title, arrivals.missing, reason)
        wave = arrivals.missing[: _wave_units(options)]
        before = len(arrivals.done)
        with _watching(arrivals, bar, note):
            failure = _run_wave(wave, options)
        refused = [*_UNWRITTEN]
        _UNWRITTEN.clear()
        _raise_refusals(wave, arrivals.missing, refused)
        in_vain = 0 if len(arrivals.done) > before else in_vain + 1
        if failure is not None:
            reason = _in_short(failure)
            _tell_of_failure(title, len(arrivals.missing), reason)
            if arrivals.missing:
                stop_job_servers()
                time.sleep(_PATIENCE_SECONDS * (1 + in_vain))


def _wave_units(options: PipelineOptions) -> int:
    """Returns how many units are given to one run of Beam."""
    if not is_local(options):
        return WAVE_UNITS
    processes = local_processes(options) or 1
    return min(WAVE_UNITS, _LOCAL_WAVE_UNITS * processes)


def _run_wave(units: Sequence[Unit], options: PipelineOptions) -> Optional[Exception]:
    """Runs units once; returns what broke the run off, if anything did."""
    # Workers that repeat "Done consuming work" would drown the progress bar; errors are
    # logged beside being raised, and some more on the way out of an interrupted run.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    try:
        if processes := local_processes(options):
            # Never in this process: what kills a worker must not kill the session.
            return _run_in_crowd(units, min(processes, len(units)))
        if is_flink(options):
            options = on_flink(options)
        _run_pipeline(units, options)
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001
        # Each runner raises what its client library does (gRPC, HTTP, Java's message in
        # a RuntimeError), and units' own errors do not come this way.
        return error
    return None


def _run_in_crowd(units: Sequence[Unit], processes: int) -> Optional[Exception]:
    with crowd_of(processes) as crowd:
        _run_pipeline(units, local_options(1))
        _UNWRITTEN.extend(refusal for refusal in crowd.refused if not refusal.kept)
        crowd.refused.clear()
        lost = crowd.lost[-1] if crowd.lost else None
        crowd.lost.clear()
    return RuntimeError(lost) if lost else None


def _run_pipeline(units: Sequence[Unit], options: PipelineOptions) -> None:
    # A few units are not worth starting threads for.
    threads = options.view_as(DirectOptions).direct_num_workers
    if len(units) == 1 and threads > 1 and is_local(options):
        options = local_options(1)
    packs = [
        _pack(units[start : start + _PACK_UNITS])
        for start in range(0, len(units), _PACK_UNITS)
    ]
    pipeline = beam.Pipeline(options=options)
    _ = pipeline | beam.Create(packs) | beam.FlatMap(_unpack) | RunUnits()
    if is_local(options):
        _run_beside(lambda: pipeline.run().wait_until_finish())
        return
    result = pipeline.run()
    try:
        result.wait_until_finish()
    except KeyboardInterrupt:
        # What runs elsewhere would go on without anybody to wait for it.
        result.cancel()
        raise


def _run_beside(run: Callable[[], object]) -> None:
    """Runs Beam's local runner in a thread of its own, so that Ctrl-C does not hit it.

    Broken off in its middle, it tells of the bundles that end later by tracebacks.
    """
    raised: list[BaseException] = []

    def work() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001
            # Whatever it is, it is raised below, in the thread that asked.
            raised.append(error)

    _STOPPED.clear()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        _STOPPED.set()
        raise
    if raised:
        raise raised[0]


def _pack(units: Sequence[Unit]) -> bytes:
    return zlib.compress(pickle.dumps(list(units)), 1)


def _unpack(pack: bytes) -> list[Unit]:
    # Made by the process that started this run, and sent by the runner as all code is.
    units: list[Unit] = pickle.loads(zlib.decompress(pack))
    return units


@contextmanager
def _watching(
    arrivals: Arrivals, bar: ProgressBar, note: Callable[[Sequence[Any]], str]
) -> Iterator[None]:
    """Moves the bar by the files that are there, whoever wrote them."""
    stop = threading.Event()
    done = shown = sum(unit.size for unit in arrivals.done)

    def look() -> None:
        nonlocal done, shown
        done += sum(unit.size for unit in arrivals.look())
        reached = done + arrivals.part_done()
        if reached != shown and arrivals.missing:  # the last word is the stage's
            shown = reached
            bar.update(reached, note(arrivals.done))

    def watch() -> None:
        pause = _POLL_SECONDS
        while not stop.wait(pause):
            began = time.monotonic()
            look()
            pause = max(_POLL_SECONDS, (time.monotonic() - began) / _POLL_SHARE)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        look()


def _raise_refusals(
    wave: Sequence[Unit], missing: Sequence[Unit], refused: Sequence[Refusal]
) -> None:
    """Raises what units that are not done said, here or in files."""
    not_done = {id(unit) for unit in missing}
    said = [(refusal.kind, refusal.why) for refusal in refused]
    said += [
        (kind, why) for unit, kind, why in take_notes(wave) if id(unit) in not_done
    ]
    crashes = [why for kind, why in said if kind is Kind.CRASHED]
    others = f" ({len(said)} pieces of work failed)" if len(said) > 1 else ""
    if crashes:
        raise UnitCrashedError(f"{crashes[0].rstrip()}{others}")
    if said:
        raise UserError(said[0][1] + others)


def _tell_of_failure(title: str, missing: int, reason: str) -> None:
    what = f"running again what is missing ({missing})" if missing else "all is done"
    print(f"{title}: the runner failed: {reason}; {what}", file=sys.stderr, flush=True)


def _in_short(failure: Exception) -> str:
    """Returns the innermost cause that a runner's message tells of, on one line."""
    text = str(failure) or type(failure).__name__
    causes = [line for line in text.splitlines() if line.startswith("Caused by: ")]
    last = causes[-1] if causes else text
    reason = " ".join(last.split())
    return reason[:_REASON_LETTERS] + ("…" if len(reason) > _REASON_LETTERS else "")


def _missing_error(title: str, missing: Sequence[Unit], reason: str) -> UserError:
    names = ", ".join(unit.path.name for unit in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    why = (
        f"the runner failed: {reason}"
        if reason
        else "the runner loses elements: run the same command again, with fewer workers"
    )
    return UserError(
        f"{title}: {len(missing)} pieces of work are still missing after {MAX_ROUNDS} "
        f"runs in a row that did none of them ({names}{more}); {why}"
    )
