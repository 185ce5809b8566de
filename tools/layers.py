"""Which top-level folder may import which: the one statement of the arrows.

The layering check holds the imports to it, and the BUILD files' visibility is
written from it.
"""

from __future__ import annotations

ROOT = ""  # the root's own __init__.py
_ALL = frozenset(
    {"episodes", "envs", "pipelines", "rlds_builders", "offline_rl", "eval"}
)
# What ships; each may import itself, the root and what is named here.
MAY_IMPORT: dict[str, frozenset[str]] = {
    ROOT: frozenset(),
    "episodes": frozenset(),
    "envs": frozenset({"episodes"}),
    "pipelines": frozenset({"episodes", "envs"}),
    "rlds_builders": frozenset({"episodes", "envs", "pipelines"}),
    "offline_rl": frozenset({"episodes", "envs"}),
    "eval": frozenset({"episodes", "envs", "offline_rl"}),
    "commands": _ALL,
    "cli": _ALL | {"commands"},
}
# What stays in the repository and may import everything that ships.
NOT_SHIPPED: dict[str, frozenset[str]] = {
    "tools": frozenset(),
    "benchmarks": frozenset(MAY_IMPORT) | {"tools"},
    "tests": frozenset(MAY_IMPORT) | {"benchmarks", "tools"},
}
ARROWS = {**MAY_IMPORT, **NOT_SHIPPED}


def may_import(importer: str, imported: str) -> bool:
    """Whether a module of one layer may import a module of another."""
    allowed = ARROWS.get(importer, frozenset())
    return imported in (importer, ROOT) or imported in allowed


def importers(layer: str) -> list[str]:
    """The other layers that may import this one, sorted."""
    return sorted(
        other for other in ARROWS if other != layer and may_import(other, layer)
    )
