"""How commands take the options of Beam's runners behind their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from thresher.episodes.errors import unknown_name

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

# Options that a command does not know are Beam's: --runner, --flink_master, …
BEAM = {"allow_extra_args": True, "ignore_unknown_options": True}


def pipeline_options(context: typer.Context, workers: int) -> PipelineOptions:
    """Returns Beam's options: those given, or so many workers of this machine.

    Raises:
      UserError: An option that neither the command nor Beam knows.
    """
    from thresher.pipelines.runners import (
        local_options,
        runner_options,
        unknown_flags,
    )

    if not context.args:
        return local_options(workers)
    unknown = unknown_flags(context.args)
    if unknown:
        own = [name for option in context.command.params for name in option.opts]
        raise unknown_name("option", unknown[0], own)
    return runner_options(context.args)


def before_flags(words: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Divides the words of a list of folders from Beam's options behind them."""
    texts = [str(word) for word in words]
    first = next((n for n, text in enumerate(texts) if text.startswith("-")), None)
    return list(words[:first]), texts[first:] if first is not None else []
