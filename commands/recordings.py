"""Commands about recordings of robots and people: look into them, ingest them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thresher.commands.beam_options import BEAM, before_flags, pipeline_options
from thresher.episodes.errors import UserError

_Option = Annotated[
    list[str],
    typer.Option("--option", help="Of the reader, as in ros_distro=humble."),
]
_Format = Annotated[
    str, typer.Option(help="Name of the format; empty: as the bytes say.")
]


def inspect(
    recording: Annotated[
        Path, typer.Argument(help="A file, a folder of a format, or of several.")
    ],
    pictures: Annotated[
        str, typer.Option(help="Folder for a few pictures of each camera.")
    ] = "",
    option: _Option = [],  # noqa: B006  # Typer copies defaults.
    format: _Format = "",
) -> None:
    """Tell what is inside a recording: topics, types, rates, gaps, guesses."""
    from thresher.pipelines.ingest.formats import one_recording
    from thresher.pipelines.ingest.inspect import inspect as look

    folder = Path(pictures) if pictures else None
    one, told = one_recording(recording, format)
    for line in (*told, *look(one, _pairs(option), folder, format)):
        typer.echo(line)


def ingest(
    context: typer.Context,
    sources: Annotated[list[Path], typer.Argument(help="Recordings or folders.")],
    mapping: Annotated[str, typer.Option(help="YAML: what is which feature.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for raw logs and report.")] = Path(
        "logs"
    ),
    suggest: Annotated[
        bool, typer.Option(help="Print a first mapping of the recording instead.")
    ] = False,
    option: _Option = [],  # noqa: B006  # Typer copies defaults.
    format: _Format = "",
    workers: Annotated[int, typer.Option(help="Processes; 0: one a processor.")] = 0,
) -> None:
    """Turn recordings into raw logs, as a mapping says. Resumes where it was."""
    recordings, flags = before_flags(sources)
    context.args += flags
    if suggest:
        _suggest(recordings, _pairs(option), format)
        return
    if not mapping:
        raise UserError(
            "a mapping says what is which feature: name one with --mapping; "
            "`thresher ingest --suggest RECORDING > mapping.yaml` writes a first one"
        )
    from thresher.pipelines.ingest.ingest import ingest as run_ingest

    options = pipeline_options(context, workers)
    report = run_ingest(recordings, Path(mapping), out, options, _pairs(option), format)
    for line in report.lines():
        typer.echo(line)


def _suggest(recordings: list[Path], options: dict[str, str], format: str) -> None:
    from thresher.pipelines.ingest.formats import one_recording
    from thresher.pipelines.ingest.suggest import suggest

    if len(recordings) != 1:
        raise UserError("a mapping is suggested for one recording at a time")
    one, told = one_recording(recordings[0], format)
    for line in told:
        typer.echo(f"# Note: {line}")
    typer.echo(suggest(one, options, format))


def _pairs(options: list[str]) -> dict[str, str]:
    pairs = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--option {text!r} is no NAME=VALUE, as ros_distro=humble")
        pairs[name.strip()] = value.strip()
    return pairs


def register(app: typer.Typer) -> None:
    """Adds these commands to the `thresher` command."""
    app.command()(inspect)
    app.command(context_settings=BEAM)(ingest)
