"""Commands about dataset versions: make, derive, look into, compare, export them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thresher.commands.beam_options import BEAM, before_flags, pipeline_options
from thresher.episodes.errors import UserError

if TYPE_CHECKING:
    from thresher.episodes.version import Version
    from thresher.pipelines.rebalance import RebalanceConfig

EXIT_DIFFERENT = 1
_VERSION_HELP = "Folder of a dataset version."
_WORKERS_HELP = "Processes; 0 for one a processor. Beam's own options may follow."

_Workers = Annotated[int, typer.Option(help=_WORKERS_HELP)]
_DataDir = Annotated[
    Path, typer.Option(help="Where <name>/<version> goes, as for `tfds build`.")
]
_Overwrite = Annotated[
    bool, typer.Option(help="Replace the version when the new one is sealed.")
]
_NumShards = Annotated[int, typer.Option(help="Of each split; 0 to let size decide.")]
_FileFormat = Annotated[str, typer.Option(help="tfrecord or array_record.")]


def build(
    context: typer.Context,
    recipe: Annotated[Path, typer.Argument(help="recipe.yaml, or its folder.")],
    data_dir: _DataDir = Path("data/datasets"),
    config: Annotated[str, typer.Option(help="Variant; empty for the first.")] = "",
    root: Annotated[
        str, typer.Option(help="Folder that sources are in; empty for the recipe's.")
    ] = "",
    num_shards: _NumShards = 0,
    max_shard_size_mb: Annotated[float, typer.Option(help="0: as the recipe.")] = 0,
    file_format: Annotated[
        str, typer.Option(help="tfrecord or array_record; empty: as the recipe.")
    ] = "",
    max_examples_per_split: Annotated[int, typer.Option(help="0 for all.")] = 0,
    overwrite: _Overwrite = False,
    workers: _Workers = 0,
) -> None:
    """Build a dataset version from a recipe. Goes on where it was interrupted."""
    import dataclasses

    from thresher.pipelines.build import Build, build_version
    from thresher.pipelines.plan import shard_bytes
    from thresher.pipelines.recipe_file import read_recipe

    file = read_recipe(recipe)
    wanted = file.variant(config)
    plan = wanted.plan
    plan = dataclasses.replace(
        plan,
        num_shards=num_shards or plan.num_shards,
        max_shard_bytes=(
            shard_bytes(max_shard_size_mb)
            if max_shard_size_mb
            else plan.max_shard_bytes
        ),
        file_format=file_format or plan.file_format,
        max_examples_per_split=max_examples_per_split or plan.max_examples_per_split,
    )
    wanted = dataclasses.replace(wanted, plan=plan)
    if not wanted.sources and not root:
        raise UserError(
            f"{file.path} names no sources; add them, or name the folder of raw logs "
            "with --root"
        )
    version = build_version(
        Build(
            recipe=wanted,
            root=Path(root) if root else file.path.parent,
            target=data_dir / wanted.name / wanted.config / wanted.version,
            options=pipeline_options(context, workers),
            overwrite=overwrite,
        )
    )
    _tell(version)


def new(
    folder: Annotated[Path, typer.Argument(help="Folder to make: the dataset's name.")],
) -> None:
    """Make the folder of a dataset of your own, ready for `tfds build`."""
    import datetime

    from thresher.pipelines.new_dataset import new_dataset

    year = datetime.datetime.now(datetime.timezone.utc).year
    for path in new_dataset(folder, year):
        typer.echo(path)
    typer.echo(f"put raw logs in {folder / 'logs'}, then: cd {folder} && tfds build")


def derive(
    context: typer.Context,
    versions: Annotated[list[Path], typer.Argument(help="Sealed versions.")],
    where: Annotated[
        str, typer.Option(help='Keep only these: "success and length > 5".')
    ] = "",
    ratio: Annotated[float, typer.Option(help="Success ratio; 0 leaves it.")] = 0.0,
    method: Annotated[
        str, typer.Option(help="downsample, duplicate or weights.")
    ] = "downsample",
    strata: Annotated[str, typer.Option(help="Columns, commas between.")] = "task",
    split: Annotated[str, typer.Option(help="What --ratio changes.")] = "train",
    weights: Annotated[
        str, typer.Option(help="Shares of the versions in training: 1,3.")
    ] = "",
    near_duplicates: Annotated[str, typer.Option(help="report or drop.")] = "report",
    name: Annotated[str, typer.Option(help="Empty: the first version's.")] = "",
    version: Annotated[str, typer.Option(help="Empty: the next major one.")] = "",
    description: Annotated[str, typer.Option(help="Of the new version.")] = "",
    data_dir: Annotated[str, typer.Option(help="Empty: the first version's.")] = "",
    seed: Annotated[int, typer.Option(help="Of order and choice.")] = 0,
    num_shards: _NumShards = 0,
    file_format: _FileFormat = "tfrecord",
    max_examples_per_split: Annotated[int, typer.Option(help="0 for all.")] = 0,
    overwrite: _Overwrite = False,
    workers: _Workers = 1,
) -> None:
    """Filter, rebalance or mix sealed versions into a new one; bytes are copied."""
    from thresher.pipelines.derive import Derivation, derive_version
    from thresher.pipelines.plan import PlanConfig

    paths, flags = before_flags(versions)
    plan = PlanConfig(
        seed=seed,
        num_shards=num_shards,
        file_format=file_format,
        max_examples_per_split=max_examples_per_split,
    )
    asked = Derivation(
        parents=paths,
        data_dir=Path(data_dir) if data_dir else None,
        name=name,
        version=version,
        description=description,
        where=where,
        weights=_numbers(weights),
        mix=method,
        rebalance=_rebalance(ratio, method, strata, split, seed),
        near_duplicates=near_duplicates,
        plan=plan,
        overwrite=overwrite,
    )
    context.args += flags
    _tell(derive_version(asked, pipeline_options(context, workers)))


def export(
    context: typer.Context,
    version: Annotated[Path, typer.Argument(help=_VERSION_HELP)],
    alignment: Annotated[
        str, typer.Option(help="oxe: the last step holds a valid action and reward.")
    ] = "oxe",
    name: Annotated[str, typer.Option(help="Empty: NAME_oxe.")] = "",
    data_dir: Annotated[str, typer.Option(help="Empty: the version's.")] = "",
    number: Annotated[str, typer.Option(help="Its version.")] = "1.0.0",
    overwrite: _Overwrite = False,
    workers: _Workers = 0,
) -> None:
    """Write a version in another alignment, for loaders that want it so."""
    from thresher.episodes.spec import ALIGNMENTS
    from thresher.episodes.version import open_version
    from thresher.pipelines.derive import Derivation, derive_version

    if alignment not in ALIGNMENTS[1:]:
        raise UserError(
            f"alignment {alignment!r} is none that versions can be exported in; known: "
            f"{', '.join(ALIGNMENTS[1:])}"
        )
    asked = Derivation(
        parents=[version],
        data_dir=Path(data_dir) if data_dir else None,
        name=name or f"{open_version(version.resolve()).name}_{alignment}",
        version=number,
        alignment=alignment,
        overwrite=overwrite,
    )
    _tell(derive_version(asked, pipeline_options(context, workers)))


def show(
    version: Annotated[Path, typer.Argument(help=_VERSION_HELP)],
) -> None:
    """Tell on one screen what a dataset version holds and where it is from."""
    from thresher.episodes.version import open_version
    from thresher.pipelines.overview import overview

    typer.echo("\n".join(overview(open_version(version))))


def log(
    version: Annotated[Path, typer.Argument(help=_VERSION_HELP)],
) -> None:
    """Tell what a version was made from, back to the raw logs."""
    from thresher.episodes.version import open_version
    from thresher.pipelines.ancestry import ancestry

    typer.echo("\n".join(ancestry(open_version(version.resolve()))))


def verify(
    version: Annotated[Path, typer.Argument(help=_VERSION_HELP)],
) -> None:
    """Read every byte of a version and find what changed since it was sealed.

    Exit status 0 if it is whole, 1 if it is not.
    """
    from thresher.pipelines.verify import verify as find_damage

    damages = find_damage(version)
    for damage in damages:
        typer.echo(str(damage))
    if damages:
        raise typer.Exit(EXIT_DIFFERENT)
    typer.echo(f"{version} is as it was sealed")


def copy(
    source: Annotated[str, typer.Argument(help="A version: folder, gs://, s3://, …")],
    target: Annotated[str, typer.Argument(help="Its folder-to-be, likewise.")],
) -> None:
    """Copy a version to or from a bucket, checked on the way; resumes where it was."""
    from thresher.pipelines.transfer import copy_version

    count = copy_version(source, target)
    typer.echo(f"{target}: {count} files copied, all as they were sealed")


def diff(
    before: Annotated[Path, typer.Argument(help=_VERSION_HELP)],
    after: Annotated[Path, typer.Argument(help="Folder of another.")],
) -> None:
    """Tell what changed between two versions: episodes, labels, splits, features.

    Exit status 0 if nothing did, 1 otherwise.
    """
    from thresher.episodes.version import open_version
    from thresher.pipelines.diff import diff as compare

    found = compare(open_version(before), open_version(after))
    for sentence in found.sentences():
        typer.echo(sentence)
    if found:
        raise typer.Exit(EXIT_DIFFERENT)
    typer.echo("no difference")


def episodes(
    version: Annotated[Path, typer.Argument(help=_VERSION_HELP)],
    where: Annotated[
        str, typer.Option(help='SQL, as in "success and length > 5".')
    ] = "",
    columns: Annotated[
        str, typer.Option(help="Names with commas between; empty for all.")
    ] = "",
    limit: Annotated[int, typer.Option(help="At most so many; 0 for all.")] = 20,
    excluded: Annotated[
        bool, typer.Option(help="Those that were left out, with stage and reason.")
    ] = False,
) -> None:
    """List episodes of a version that a condition holds for, as CSV."""
    import pyarrow
    import pyarrow.csv

    from thresher.episodes.version import open_version
    from thresher.pipelines.query import episodes_of, episodes_where

    opened = open_version(version)
    default = _EXCLUDED_COLUMNS if excluded else _EPISODE_COLUMNS
    names = _words(columns) if columns else default
    found = (
        episodes_where(opened.excluded, where, names, limit)
        if excluded
        else episodes_of(opened, where, names, limit)
    )
    lists = [f.name for f in found.schema if pyarrow.types.is_list(f.type)]
    for column in lists:
        joined = [";".join(map(str, v or ())) for v in found[column].to_pylist()]
        place = found.column_names.index(column)
        found = found.set_column(place, column, pyarrow.array(joined))
    pyarrow.csv.write_csv(found, sys.stdout.buffer)


_EPISODE_COLUMNS = ["episode_id", "split", "success", "num_steps", "policy_id", "task"]
_EXCLUDED_COLUMNS = ["episode_id", "stage", "reason", "file", "offset"]


def _tell(version: Version) -> None:
    counts = version.lineage["episodes"]
    typer.echo(
        f"{version.path}: {counts['written']:,} episodes of {counts['indexed']:,}, "
        f"digest {version.digest[:16]}"
    )


def _rebalance(
    ratio: float, method: str, strata: str, split: str, seed: int
) -> RebalanceConfig | None:
    from thresher.pipelines.rebalance import RebalanceConfig

    if not ratio:
        return None
    return RebalanceConfig(ratio, tuple(_words(strata)), method, split, seed)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> Sequence[float]:
    try:
        numbers = [float(word) for word in _words(text)]
    except ValueError as error:
        raise UserError(f"weights {text!r} are no numbers; write 1,3") from error
    if numbers and not any(numbers):
        raise UserError(
            f"weights {text!r} give no version a share; write 1,3, or leave them out "
            "to take all episodes"
        )
    return numbers


def register(app: typer.Typer) -> None:
    """Adds these commands to the `thresher` command."""
    beam: tuple[Callable[..., None], ...] = (build, derive, export)
    for command in beam:
        app.command(context_settings=BEAM)(command)
    alone: tuple[Callable[..., None], ...] = (
        new,
        show,
        log,
        verify,
        copy,
        diff,
        episodes,
    )
    for command in alone:
        app.command()(command)
