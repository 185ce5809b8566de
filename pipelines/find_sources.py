"""Finds what a recipe is made from: raw logs, recordings to ingest, sealed versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions

from thresher.episodes.errors import UserError
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.version import Version, open_version
from thresher.pipelines.index_logs import common_spec, spec_difference
from thresher.pipelines.ingest.reader import OXE_SHARDS, find_logs
from thresher.pipelines.recipe import Recipe, SourceConfig
from thresher.pipelines.shard_files import ARRAY_RECORD, TFRECORD
from thresher.pipelines.sources import Source

# The name of the only source of a recipe that names none.
GIVEN = "."


@dataclasses.dataclass(frozen=True)
class FoundSources:
    """The sources of a build.

    Attributes:
      sources: By number.
      logs: Raw logs of each source, by name; none of a sealed version.
      versions: The sealed versions, by number of the source.
      spec: What all their episodes are.
      labels: Annotation files, in order.
    """

    sources: tuple[Source, ...]
    logs: tuple[tuple[Path, ...], ...]
    versions: dict[int, Version]
    spec: EpisodeSpec
    labels: tuple[Path, ...]

    def labelled(self, index: Path) -> Path:
        """Returns the index with the annotations' labels in it."""
        if not self.labels:
            return index
        from thresher.pipelines.label_index import label_index

        return label_index(index, self.labels)


def find_sources(
    recipe: Recipe, root: Path, work: Path, options: PipelineOptions, alignment: str
) -> FoundSources:
    """Finds every source, ingesting recordings on the way.

    Args:
      recipe: Names them.
      root: Folder that names are relative to.
      work: Where ingested recordings go.
      options: Beam's.
      alignment: 'oxe' reads sealed versions record by record, to convert them.

    Raises:
      UserError: Something is not there, or sources hold different episodes.
    """
    configs = recipe.sources or (SourceConfig(logs=GIVEN),)
    sources: list[Source] = []
    logs: list[tuple[Path, ...]] = []
    versions: dict[int, Version] = {}
    for number, config in enumerate(configs):
        if config.version:
            versions[number] = open_version(_below(root, config.version))
            source, files = _version_source(config, versions[number], alignment)
        elif config.mapping:
            source, files = _ingested_source(config, root, work, options)
        else:
            folder = _below(root, config.logs)
            source = Source(config.logs, folder, weight=config.weight)
            files = tuple(find_logs(folder))
        sources.append(dataclasses.replace(source, where=config.where))
        logs.append(files)
    spec = _common_spec(sources, logs, versions, alignment)
    labels = tuple(_below(root, name) for name in recipe.labels)
    for path in labels:
        if not path.is_file():
            raise UserError(f"there is no annotation file {path}; see 'labels'")
    return FoundSources(tuple(sources), tuple(logs), versions, spec, labels)


def _below(root: Path, name: str) -> Path:
    return (root / Path(name).expanduser()).resolve() if name != GIVEN else root


def _version_source(
    config: SourceConfig, version: Version, alignment: str
) -> tuple[Source, tuple[Path, ...]]:
    if alignment == "rlds":
        source = Source(config.version, version.path, True, config.weight)
        return source, ()
    source = Source(
        config.version, version.path, weight=config.weight, reader=OXE_SHARDS
    )
    shards = sorted(
        path
        for suffix in (TFRECORD, ARRAY_RECORD)
        for path in version.path.glob(f"*.{suffix}-*")
    )
    return source, tuple(shards)


def _ingested_source(
    config: SourceConfig, root: Path, work: Path, options: PipelineOptions
) -> tuple[Source, tuple[Path, ...]]:
    from thresher.pipelines.ingest.ingest import ingest_source

    folder = work / "ingested"
    logs = ingest_source(
        _below(root, config.logs), _below(root, config.mapping), folder, options
    )
    return Source(config.logs, folder, weight=config.weight), tuple(logs)


def _common_spec(
    sources: Sequence[Source],
    logs: Sequence[tuple[Path, ...]],
    versions: dict[int, Version],
    alignment: str,
) -> EpisodeSpec:
    named: list[tuple[str, EpisodeSpec]] = []
    pairs = [
        (log, source.reader) for source, files in zip(sources, logs) for log in files
    ]
    if pairs:
        named.append(("the raw logs", common_spec(pairs)))
    if alignment == "rlds":
        named += [(str(v.path), v.spec) for _, v in sorted(versions.items())]
    first, spec = named[0]
    for name, other in named[1:]:
        if other.digest() != spec.digest():
            raise UserError(
                f"{first} and {name} hold different episodes "
                f"({spec_difference(spec, other)}); build a version from one spec"
            )
    return spec
