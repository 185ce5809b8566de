"""Croissant metadata of a version: a dataset card for machines.

Source: the Croissant format specification 1.0 (MLCommons). The episode table is
described to its columns; shards are described as files, since no Croissant reader
decodes a TFRecord.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.version import EPISODES, LINEAGE, STATISTICS
from thresher.pipelines.recipe import Recipe

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_MEDIA = {".json": "application/json", ".parquet": "application/x-parquet"}
_COLUMNS = {
    "episode_id": ("sc:Text", "Digest of all steps: a copy has the same."),
    "split": ("sc:Text", "Split that the episode is in."),
    "success": ("sc:Text", "yes, no or unknown."),
    "num_steps": ("sc:Integer", "Steps, the final observation included."),
    "episode_return": ("sc:Float", "Undiscounted sum of rewards."),
    "task": ("sc:Text", "What was to be done."),
    "robot": ("sc:Text", "Which robot."),
    "language": ("sc:Text", "Instruction in natural language."),
    "behaviour_kind": ("sc:Text", "Who acted: scripted, teleoperated, learned, …"),
    "policy_id": ("sc:Text", "Name of the behaviour policy."),
    "sampling_weight": ("sc:Float", "How often to sample it, 1 on average."),
    "shard_file": ("sc:Text", "File that holds its record."),
    "record_offset": ("sc:Integer", "First byte of the record there."),
    "record_length": ("sc:Integer", "Bytes of the record."),
}


def croissant(
    recipe: Recipe, spec: EpisodeSpec, checksums: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns the metadata as JSON-LD.

    Args:
      recipe: Name, version and description.
      spec: Named in the description of the shards.
      checksums: sha256 and bytes of every file, by name.
    """
    suffix = recipe.plan.file_format
    features = ", ".join(feature.name for feature in spec.features)
    shards = {
        "@type": "cr:FileSet",
        "@id": "shards",
        "name": "shards",
        "description": f"RLDS episodes in {suffix} files; steps of {features}.",
        "containedIn": {"@id": "folder"},
        "encodingFormat": "application/octet-stream",
        "includes": f"{recipe.name}-*.{suffix}-*",
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": recipe.name,
        "version": recipe.version,
        "description": recipe.description.strip(),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "folder",
                "name": "folder",
                "description": "The folder of this version.",
                "contentUrl": ".",
                "encodingFormat": "application/x-directory",
                "sha256": checksums[EPISODES]["sha256"],
            },
            *(_file(name, checksums[name]) for name in (EPISODES, LINEAGE, STATISTICS)),
            shards,
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "episodes",
                "name": "episodes",
                "description": "One row an episode.",
                "field": [_field(name, *facts) for name, facts in _COLUMNS.items()],
            }
        ],
    }


def _file(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{facts['bytes']} B",
        "encodingFormat": _MEDIA[name[name.rindex(".") :]],
        "sha256": facts["sha256"],
    }


def _field(name: str, kind: str, description: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"episodes/{name}",
        "name": name,
        "description": description,
        "dataType": kind,
        "source": {"fileObject": {"@id": EPISODES}, "extract": {"column": name}},
    }
