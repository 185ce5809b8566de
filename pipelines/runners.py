"""Beam's options: which runner works, and with how many workers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Optional

from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
)
from apache_beam.runners.runner import create_runner

from thresher.episodes.errors import UserError

_IN_PROCESS = "FnApiRunner"
_LOCAL = frozenset({"DirectRunner", _IN_PROCESS, "BundleBasedDirectRunner"})


def local_options(workers: int, mode: str = "multi_processing") -> PipelineOptions:
    """Returns options for this machine.

    Args:
      workers: How many; 0 for one a processor. One runs in this process.
      mode: 'multi_processing', or 'multi_threading' for units that have their work
        done by processes of their own.

    Raises:
      UserError: Fewer than none.
    """
    if workers < 0:
        raise UserError(f"{workers} workers: ask for one or more, or 0 for one a core")
    count = workers or os.cpu_count() or 1
    flags = ["--default_sdk_harness_log_level=ERROR"]
    if count > 1:
        flags += [
            "--runner=DirectRunner",
            f"--direct_running_mode={mode}",
            f"--direct_num_workers={count}",
        ]
    else:
        flags += [f"--runner={_IN_PROCESS}"]
    return PipelineOptions(flags)


def runner_options(flags: Sequence[str]) -> PipelineOptions:
    """Returns the options that Beam's flags ask for.

    Args:
      flags: As in `['--runner=FlinkRunner', '--flink_master=[local]']`. Flags that
        only the runner knows are passed on to it.

    Raises:
      UserError: No such runner, or a flag whose value Beam refuses.
    """
    try:
        options = PipelineOptions(list(flags))
        name = options.view_as(StandardOptions).runner
        # Read here, because Beam's parser ends the program where a value is wrong.
        options.get_all_options()
    except SystemExit as error:
        raise UserError(
            f"Beam refuses the options {' '.join(flags)}; see above for the reason"
        ) from error
    if name:
        _require_runner(name)
    return options


def unknown_flags(flags: Sequence[str]) -> list[str]:
    """Returns flags that Beam does not know, where no runner is named that might.

    A word that is no flag is the value of the flag before it.
    """
    names = [flag.lstrip("-").split("=")[0] for flag in flags if flag.startswith("-")]
    known = PipelineOptions([]).get_all_options()
    if "runner" in names:
        return []
    return [f"--{name}" for name in names if name not in known]


def flags_of(text: str) -> list[str]:
    """Returns flags from the form that `tfds build --beam_pipeline_options` takes.

    Args:
      text: `runner=FlinkRunner,flink_master=[local]`; a comma inside brackets or
        braces belongs to its value.
    """
    flags, depth, start = [], 0, 0
    for place, letter in enumerate(text + ","):
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and (depth <= 0 or place == len(text)):
            flag = text[start:place].strip().lstrip("-")
            if flag:
                flags.append(f"--{flag}")
            start = place + 1
    return flags


def is_local(options: PipelineOptions) -> bool:
    """Whether Beam runs within this process, or by processes that it starts here."""
    runner: Optional[str] = options.view_as(StandardOptions).runner
    return runner is None or runner in _LOCAL


def local_processes(options: PipelineOptions) -> int:
    """Returns how many processes of this machine are asked for; 0 if none are."""
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != "multi_processing" or not is_local(options):
        return 0
    count = direct.direct_num_workers or os.cpu_count() or 1
    return int(count) if count > 1 else 0


def is_flink(options: PipelineOptions) -> bool:
    """Whether the work goes to Flink."""
    runner: Optional[str] = options.view_as(StandardOptions).runner
    return (runner or "").rpartition(".")[2] == "FlinkRunner"


def _require_runner(name: str) -> None:
    try:
        create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(
            f"there is no Beam runner {name!r}: {error}; name one such as "
            "DirectRunner, FlinkRunner, SparkRunner or DataflowRunner, and install "
            "what it needs"
        ) from error
