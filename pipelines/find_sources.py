"""Finds what a recipe is made from: raw logs, recordings to ingest, sealed versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from apache_beam.options.pipeline_options import PipelineOptions

from thresher.episodes.errors import UserError
from thresher.episodes.files import sha256_file
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.version import Version, open_version
from thresher.pipelines.index_logs import common_spec, spec_difference
from thresher.pipelines.ingest.ingest import ingest, ingested_logs
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.pipelines.ingest.reader import OXE_SHARDS, find_logs
from thresher.pipelines.ingest.report import IngestReport
from thresher.pipelines.ingest.sources import digest_of, find_all
from thresher.pipelines.parent_index import ParentIndex
from thresher.pipelines.recipe import Recipe, SourceConfig
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
      ingested: What became of recordings, by number of the source.
    """

    sources: tuple[Source, ...]
    logs: tuple[tuple[Path, ...], ...]
    versions: dict[int, Version]
    spec: EpisodeSpec
    labels: tuple[Path, ...]
    ingested: dict[int, IngestReport]


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
    ingested: dict[int, IngestReport] = {}
    for number, config in enumerate(configs):
        if config.version:
            versions[number] = open_version(_below(root, config.version))
            source, files = _version_source(config, versions[number], alignment)
        elif config.mapping:
            folder = work / "ingested" / str(number)
            recordings, mapping = _recordings(config, root)
            ingested[number] = ingest(recordings, mapping, folder, options)
            source = Source(config.logs, folder, weight=config.weight)
            files = tuple(sorted(ingested_logs(folder)))
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
    return FoundSources(tuple(sources), tuple(logs), versions, spec, labels, ingested)


def inputs(
    recipe: Recipe, root: Path, known: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """Returns the digest of everything that a recipe is made from, by source and file.

    Args:
      recipe: Names the sources.
      root: Folder that names are relative to.
      known: Digests worked out before, by the same names: those files are not read.

    Raises:
      UserError: Something is not there.
    """
    found: dict[str, str] = {}
    for config in recipe.sources or (SourceConfig(logs=GIVEN),):
        if config.version:
            found[config.version] = open_version(_below(root, config.version)).digest
        elif config.mapping:
            recordings, mapping = _recordings(config, root)
            found[config.mapping] = load_mapping(mapping).digest()
            for one in find_all(recordings, load_mapping(mapping).format):
                name = f"{config.logs}: {one.name}"
                found[name] = known.get(name) or digest_of(one.path)
        else:
            folder = _below(root, config.logs)
            for log in find_logs(folder):
                name = f"{config.logs}: {log.relative_to(folder).as_posix()}"
                found[name] = known.get(name) or sha256_file(log)
    for label in recipe.labels:
        found[label] = sha256_file(_below(root, label))
    return found


def _recordings(config: SourceConfig, root: Path) -> tuple[list[Path], Path]:
    """Returns the recordings that a source names, and their mapping.

    Raises:
      UserError: A pattern that nothing fits.
    """
    mapping = _below(root, config.mapping)
    if not any(letter in config.logs for letter in "*?["):
        return [_below(root, config.logs)], mapping
    found = sorted(root.glob(config.logs))
    if not found:
        raise UserError(f"nothing in {root} fits the source {config.logs!r}")
    return found, mapping


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
    # Not every file of the folder: others may lie there, and one may be missing.
    shards = ParentIndex(version.path).shards
    return source, tuple(version.path / shard for shard in shards)


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
