"""Derives a version from sealed ones: filtered, rebalanced, mixed, re-aligned.

Records are copied as they are, found by their offsets; nothing is decoded. Only a
change of alignment reads the episodes, since it changes them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from apache_beam.options.pipeline_options import PipelineOptions

from thresher.episodes.errors import UserError
from thresher.episodes.files import require_local
from thresher.episodes.version import Version, open_version
from thresher.pipelines.build import Build, build_version
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.rebalance import RebalanceConfig
from thresher.pipelines.recipe import Recipe, SourceConfig
from thresher.pipelines.semver import is_number, number
from thresher.pipelines.split import SplitConfig


@dataclasses.dataclass(frozen=True)
class Derivation:
    """What is asked of a derived version.

    Attributes:
      parents: Folders of sealed versions.
      data_dir: Where <name>/<version> goes; None for the first parent's.
      name: The dataset's name; empty for the first parent's.
      version: 'major.minor.patch'; empty for the next major one.
      description: For people; empty for one that says what was derived.
      where: Condition that every episode must meet.
      weights: Share of each parent in the training split; empty for all episodes.
      mix: How parents are brought to their weights, without rebalancing.
      rebalance: What mix the training split is brought to; None leaves it.
      near_duplicates: 'report' or 'drop'.
      plan: How episodes are laid out.
      alignment: 'rlds', or 'oxe' to convert.
      overwrite: Replace a version of that number.
    """

    parents: Sequence[Path]
    data_dir: Optional[Path] = None
    name: str = ""
    version: str = ""
    description: str = ""
    where: str = ""
    weights: Sequence[float] = ()
    mix: str = "downsample"
    rebalance: Optional[RebalanceConfig] = None
    near_duplicates: str = "report"
    plan: PlanConfig = dataclasses.field(default_factory=PlanConfig)
    alignment: str = "rlds"
    overwrite: bool = False


def derive_version(
    asked: Derivation, options: Optional[PipelineOptions] = None
) -> Version:
    """Derives a version, or returns the one there if it was derived from the same.

    Raises:
      UserError: A parent is not sealed, weights do not fit the parents, parents hold
        different episodes, or anything that a build refuses.
    """
    parents = [open_version(path.resolve()) for path in asked.parents]
    if not parents:
        raise UserError("no version to derive from; name at least one folder")
    if asked.weights and len(asked.weights) != len(parents):
        raise UserError(
            f"{len(asked.weights)} weights for {len(parents)} versions; give one each"
        )
    data_dir = (asked.data_dir or _data_dir(parents[0])).resolve()
    require_local(data_dir)
    name = asked.name or parents[0].name
    version = asked.version or _next_major(data_dir / name)
    recipe = Recipe(
        name=name,
        version=version,
        description=asked.description or _description(parents, asked),
        sources=_sources(parents, asked.weights, data_dir),
        where=asked.where,
        near_duplicates=asked.near_duplicates,
        split=SplitConfig(keep=True),
        rebalance=asked.rebalance,
        mix=asked.mix,
        plan=asked.plan,
    )
    build = Build(
        recipe=recipe,
        root=data_dir,
        target=data_dir / name / version,
        options=options,
        alignment=asked.alignment,
        overwrite=asked.overwrite,
    )
    return build_version(build)


def _data_dir(parent: Version) -> Path:
    """Returns <data_dir> of <data_dir>/<name>[/<config>]/<version>.

    Raises:
      UserError: The version lies elsewhere, so that there is none.
    """
    above = parent.path.parent
    for folder in (above, above.parent):
        if folder.name == parent.name:
            return folder.parent
    raise UserError(
        f"{parent.path} does not lie in a folder {parent.name!r}, as versions in a "
        "data folder do; say with --data-dir where the new one goes"
    )


def _next_major(folder: Path) -> str:
    found = [0]
    if folder.is_dir():
        names = [path.name for path in folder.iterdir() if path.is_dir()]
        found += [number(n)[0] for n in names if is_number(n)]
    return f"{max(found) + 1}.0.0"


def _sources(
    parents: Sequence[Version], weights: Sequence[float], data_dir: Path
) -> tuple[SourceConfig, ...]:
    return tuple(
        SourceConfig(version=_relative(parent.path, data_dir), weight=weight)
        for parent, weight in zip(parents, weights or [0.0] * len(parents))
    )


def _relative(path: Path, data_dir: Path) -> str:
    """Names a parent as anybody would who has the same data folder."""
    try:
        return path.relative_to(data_dir).as_posix()
    except ValueError:
        return str(path)


def _description(parents: Sequence[Version], asked: Derivation) -> str:
    names = " and ".join(f"{p.name} {p.version}" for p in parents)
    what = [f"Derived from {names}"]
    if asked.where:
        what.append(f"where {asked.where}")
    if asked.rebalance:
        config = asked.rebalance
        what.append(f"rebalanced to {config.target:g} by {config.method}")
    if asked.weights:
        what.append(f"mixed {' : '.join(f'{w:g}' for w in asked.weights)}")
    if asked.alignment != "rlds":
        what.append(f"in {asked.alignment.upper()} alignment")
    return ", ".join(what) + "."
