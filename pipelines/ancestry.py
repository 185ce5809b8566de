"""The ancestry of a version: what it was made from, back to the raw logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thresher.episodes.errors import UserError
from thresher.episodes.version import Version, open_version, side_files

# Lineage is a tree without circles; a hostile folder may say otherwise.
_MOST_GENERATIONS = 50


def ancestry(version: Version) -> Iterator[str]:
    """Yields a line for the version and each of its ancestors, indented by generation.

    Parents are looked for in the same data folder. One that is not there, or is not
    what it was, is named as such.
    """
    yield from _generations(version, 0, set())


def _generations(version: Version, depth: int, told: set[Path]) -> Iterator[str]:
    """Yields the lines of a version; ancestors that were told of are named only."""
    told.add(version.path)
    indent = "  " * depth
    with side_files(version.path):
        yield f"{indent}{_line(version)}"
        yield from _origins(version, depth, told)


def _origins(version: Version, depth: int, told: set[Path]) -> Iterator[str]:
    indent = "  " * depth
    lineage = version.lineage
    logs = lineage["raw_logs"]
    if logs:
        episodes = sum(log["episodes"] for log in logs)
        yield f"{indent}  {episodes:,} episodes of {len(logs):,} raw logs"
    for parent in lineage["parents"]:
        found = _find(version, parent)
        if isinstance(found, str):
            name = f"{parent['name']} {parent['version']}"
            yield f"{indent}  {name} ({parent['digest'][:16]}): {found}"
        elif found.path in told:
            yield f"{indent}  {_name(found)}: see above"
        elif depth < _MOST_GENERATIONS:
            yield from _generations(found, depth + 1, told)


def _name(version: Version) -> str:
    return f"{version.name} {version.version} ({version.digest[:16]})"


def _line(version: Version) -> str:
    lineage = version.lineage
    parts = [
        _name(version),
        f"{lineage['episodes']['written']:,} episodes",
    ]
    recipe = lineage["recipe"]
    if recipe["where"]:
        parts.append(f"where {recipe['where']}")
    if recipe["rebalance"]:
        config = recipe["rebalance"]
        parts.append(f"rebalanced to {config['target']:g} by {config['method']}")
    parts += [f"{s['achieved']:.0%} of {s['source']}" for s in lineage["mixed"]]
    parts.append(f"code {lineage['code_revision'][:12]}")
    return ", ".join(parts)


def _find(version: Version, parent: Mapping[str, Any]) -> Version | str:
    """Returns a parent, or why it cannot be shown."""
    for data_dir in (version.path.parent.parent, version.path.parent.parent.parent):
        path = data_dir / Path(parent["source"])
        try:
            found = open_version(path)
        except UserError:
            continue
        if found.digest == parent["digest"]:
            return found
        return f"at {path} there is another version, {found.digest[:16]}"
    return "not here"
