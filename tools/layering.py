"""Holds every import to the arrows between the folders.

Usage: python -m thresher.tools.layering [ROOT]; exit code 1 if a rule is broken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from thresher.tools.layers import ARROWS, NOT_SHIPPED, may_import
from thresher.tools.requirements import declared, distribution
from thresher.tools.source_tree import PACKAGE, Import, Module, read_tree

# What takes seconds to import and so must wait until a command needs it.
HEAVY = frozenset(
    {
        "apache-beam",
        "dm-reverb",
        "duckdb",
        "gymnasium",
        "matplotlib",
        "mlcroissant",
        "pandas",
        "pyarrow",
        "pybullet",
        "rlds",
        "tensorboard",
        "tensorflow",
        "tensorflow-datasets",
        "tensorflow-probability",
        "tf-agents",
    }
)
# The command line answers `--help` at once: nothing heavy when it is imported.
LIGHT_LAYERS = ("", "cli", "commands")


def resolve(imported: str, modules: Mapping[str, Module]) -> Module | None:
    """The module of ours that an import names (itself or something in it)."""
    parts = imported.split(".")
    for length in range(len(parts), 0, -1):
        found = modules.get(".".join(parts[:length]))
        if found:
            return found
    return None


def violations(root: Path) -> list[str]:
    """Every broken rule, as 'path:line: what is wrong'."""
    modules = read_tree(root)
    requirements = declared(root)
    found = list(_cycles(modules))
    for module in modules.values():
        found += _placement(module)
        for imported in module.imports:
            for problem in _import_problems(module, imported, modules, requirements):
                found.append(f"{module.path}:{imported.line}: {problem}")
        if module.layer in LIGHT_LAYERS:
            found += _heavy_at_start(module, modules)
    return sorted(found)


def _placement(module: Module) -> Iterator[str]:
    if module.layer not in ARROWS:
        yield (
            f"{module.path}:1: '{module.layer}' is no layer of this project: move the "
            "module into a folder of tools/layers.py, or add the layer there"
        )
    if module.is_package and module.code and module.layer:
        yield f"{module.path}:1: an __init__.py holds only a docstring"


def _import_problems(
    module: Module,
    imported: Import,
    modules: Mapping[str, Module],
    requirements: Mapping[str, frozenset[str]],
) -> Iterator[str]:
    top = imported.name.split(".")[0]
    if imported.relative:
        yield f"relative import of {imported.name}: write the absolute name"
    if top == PACKAGE:
        yield from _own_import_problems(module, imported, modules)
    elif f"{PACKAGE}.{top}" in modules:
        yield (
            f"import of {imported.name} without its prefix makes a second copy of the "
            f"module: write {PACKAGE}.{imported.name}"
        )
    else:
        yield from _library_problems(module, imported, requirements)


def _own_import_problems(
    module: Module, imported: Import, modules: Mapping[str, Module]
) -> Iterator[str]:
    target = resolve(imported.name, modules)
    exact = target and (not target.is_package or _in_package(imported, target))
    if imported.quoted and not exact:
        return
    if target is None or not exact:
        yield f"{imported.name} does not exist in this tree"
        return
    if imported.name == f"{PACKAGE}.eval":
        yield f"import of {imported.name} shadows a builtin: import what is in it"
    if not may_import(module.layer, target.layer):
        allowed = ", ".join(sorted(filter(None, ARROWS.get(module.layer, ()))))
        yield (
            f"'{module.layer}' may not import '{target.layer}' ({imported.name}); "
            f"it may import: {allowed or 'nothing of ours'}"
        )


def _in_package(imported: Import, package: Module) -> bool:
    """Whether what is imported from a package is the package or defined in it."""
    rest = imported.name[len(package.name) + 1 :]
    return not rest or rest in package.defines


def _library_problems(
    module: Module, imported: Import, requirements: Mapping[str, frozenset[str]]
) -> Iterator[str]:
    needed = distribution(imported.name)
    extras = set(requirements) - ({"dev"} if module.layer not in NOT_SHIPPED else set())
    if needed and not any(needed in requirements[extra] for extra in extras):
        yield (
            f"import of {imported.name} needs the distribution {needed}, which "
            "setup.cfg does not declare (or only for development)"
        )


def _heavy_at_start(module: Module, modules: Mapping[str, Module]) -> Iterator[str]:
    """Heavy libraries that importing this module imports, however indirectly."""
    waiting, seen = [module], {module.name}
    while waiting:
        current = waiting.pop()
        for imported in (i for i in current.imports if not i.deferred):
            target = resolve(imported.name, modules)
            needed = None if target else distribution(imported.name)
            if needed in HEAVY:
                yield (
                    f"{current.path}:{imported.line}: {needed} is heavy, and importing "
                    f"{module.name} imports this module: import it where it is used"
                )
            if target and target.name not in seen:
                seen.add(target.name)
                waiting.append(target)


def _cycles(modules: Mapping[str, Module]) -> Iterator[str]:
    """Modules that import each other in a circle, deferred imports included."""
    targets = {
        name: sorted(
            {
                target.name
                for imported in module.imports
                for target in [resolve(imported.name, modules)]
                if target and target.name != name
            }
        )
        for name, module in modules.items()
    }
    finished: set[str] = set()
    for start in sorted(targets):
        yield from _cycles_from(start, targets, finished, [])


def _cycles_from(
    name: str, targets: Mapping[str, list[str]], finished: set[str], path: list[str]
) -> Iterator[str]:
    if name in path:
        circle = [*path[path.index(name) :], name]
        yield f"circle of imports: {' → '.join(circle)}"
    elif name not in finished:
        for target in targets[name]:
            yield from _cycles_from(target, targets, finished, [*path, name])
        finished.add(name)


def main() -> None:
    """Prints every broken rule."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    found = violations(root if root.is_dir() else root.parent.parent)
    print("\n".join(found) if found else "Every import follows the arrows.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
