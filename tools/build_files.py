"""Writes every BUILD file, and setup.cfg's list of packages, from the sources.

A target per module; its deps are its imports, its `pip:` tags the distributions those
need, and its visibility the arrows of layers.py. With --check nothing is written: what
would change is shown, and the exit code is 1 if anything would.

Usage: python -m thresher.tools.build_files [--check] [ROOT]
"""

from __future__ import annotations

import difflib
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePath

from thresher.tools import packages
from thresher.tools.layering import HEAVY, resolve
from thresher.tools.layers import ROOT, importers
from thresher.tools.requirements import distribution
from thresher.tools.source_tree import Import, Module, folders, read_tree

MARK = "# Written by `make build-files` from the imports; do not edit by hand.\n"
TEST_MACRO = "//tools:pytest_test.bzl"
# Parts of the closure of a test that say it cannot run in seconds.
HEAVY_TAG = "heavy"
STDLIB_TAG = "stdlib"


def build_files(root: Path) -> dict[Path, str]:
    """The text of every BUILD file of the tree, by its path relative to the root."""
    modules = read_tree(root)
    graph = {name: dependencies(module, modules) for name, module in modules.items()}
    by_folder: dict[Path, list[Module]] = defaultdict(list)
    for module in modules.values():
        by_folder[module.path.parent].append(module)
    return {
        folder / "BUILD": _build_file(root, folder, inside, modules, graph)
        for folder, inside in sorted(by_folder.items())
    }


def dependencies(module: Module, modules: Mapping[str, Module]) -> list[str]:
    """Names of our modules that a module imports, with what pytest adds to a test.

    Packages that hold only a docstring are left out: Bazel supplies them.
    """
    found = {
        target.name
        for i in module.imports
        for target in [resolve(i.name, modules)]
        if target
    }
    if is_test(module):
        for parent in module.path.parents:
            conftest = ".".join(["thresher", *parent.parts, "conftest"])
            found |= {conftest} & set(modules)
    return sorted(
        name for name in found - {module.name} if _counts(module, modules[name])
    )


def _counts(importer: Module, imported: Module) -> bool:
    return imported.code or not imported.is_package


def is_test(module: Module) -> bool:
    """Whether pytest collects it."""
    return module.layer == "tests" and module.path.name.startswith("test_")


def pip_names(module: Module) -> list[str]:
    """Distributions that a module imports directly, sorted."""
    outside = (i for i in module.imports if not _is_ours(i))
    return sorted({d for d in (distribution(i.name) for i in outside) if d})


def _is_ours(imported: Import) -> bool:
    return imported.name.split(".")[0] == "thresher"


def label(module: Module) -> str:
    """The Bazel label of a module's target."""
    return f"//{module.path.parent.as_posix().strip('.')}:{_target(module)}"


def _target(module: Module) -> str:
    if module.is_package and not module.layer:
        return "thresher"
    return module.path.stem


def closure(name: str, graph: Mapping[str, list[str]]) -> set[str]:
    """A module's name and those of all it depends on, however indirectly."""
    seen, waiting = {name}, [name]
    while waiting:
        new = set(graph[waiting.pop()]) - seen
        seen |= new
        waiting += new
    return seen


def _build_file(
    root: Path,
    folder: Path,
    inside: list[Module],
    modules: Mapping[str, Module],
    graph: Mapping[str, list[str]],
) -> str:
    layer = folder.parts[0] if folder.parts else ROOT
    data = packages.data_files(root / folder) if layer != ROOT else []
    blocks = [MARK.rstrip("\n")]
    if any(is_test(module) for module in inside):
        blocks.append(f'load("{TEST_MACRO}", "pytest_test")')
    if layer != ROOT:
        blocks.append(_call("package", {"default_visibility": _visibility(layer)}))
    in_order = sorted(inside, key=_target)
    blocks += [_module_target(module, modules, graph, data) for module in in_order]
    return "\n\n".join(blocks) + "\n"


def _visibility(layer: str) -> list[str]:
    """Who may depend on a layer, as Bazel package specifications."""
    specs = [f"//{layer}:__subpackages__"]
    for other in importers(layer):
        in_root = other == "cli"
        specs.append("//:__pkg__" if in_root else f"//{other}:__subpackages__")
    return sorted(specs)


def _module_target(
    module: Module,
    modules: Mapping[str, Module],
    graph: Mapping[str, list[str]],
    data: list[str],
) -> str:
    arguments: dict[str, str | list[str]] = {
        "name": _target(module),
        "srcs": [module.path.name],
    }
    if data and module.reads_files_beside_it:
        arguments["data"] = data
    tags = [f"pip:{name}" for name in pip_names(module)]
    reached = {
        name
        for needed in closure(module.name, graph)
        for name in pip_names(modules[needed])
    }
    if is_test(module) and reached & HEAVY:
        tags.append(HEAVY_TAG)
    if not reached:
        tags.append(STDLIB_TAG)
    if tags:
        arguments["tags"] = tags
    if not module.path.parent.parts:
        arguments["visibility"] = _root_visibility(module)
    deps = [label(modules[name]) for name in graph[module.name]]
    if deps:
        arguments["deps"] = sorted(_shortened(dep, module) for dep in deps)
    return _call("pytest_test" if is_test(module) else "py_library", arguments)


def _root_visibility(module: Module) -> list[str]:
    if module.is_package:
        return ["//visibility:public"]
    return [f"//{layer}:__subpackages__" for layer in importers(module.layer)]


def _shortened(dep: str, module: Module) -> str:
    package, _, target = dep.partition(":")
    here = f"//{module.path.parent.as_posix().strip('.')}"
    return f":{target}" if package == here else dep


def _call(function: str, arguments: Mapping[str, str | list[str]]) -> str:
    """A call in the layout of Bazel's own formatter."""
    lines = [f"{function}("]
    for name, value in arguments.items():
        if isinstance(value, str):
            lines.append(f'    {name} = "{value}",')
        elif len(value) == 1:
            lines.append(f'    {name} = ["{value[0]}"],')
        else:
            items = [f'        "{item}",' for item in value]
            lines += [f"    {name} = [", *items, "    ],"]
    return "\n".join([*lines, ")"])


def wanted_files(root: Path) -> dict[Path, str]:
    """All files this tool owns with the text they should have."""
    wanted = build_files(root)
    setup = PurePath("setup.cfg")
    text = (root / setup).read_text(encoding="utf-8")
    wanted[Path(setup)] = packages.with_packages(text, packages.shipped(root))
    return wanted


def changes(root: Path) -> list[str]:
    """Unified diffs from the files as they are to the files as they should be."""
    wanted: dict[Path, str | None] = dict(wanted_files(root))
    for folder in folders(root):
        if (_current(folder / "BUILD") or "").startswith(MARK):
            wanted.setdefault(folder.relative_to(root) / "BUILD", None)
    return [
        _diff(root, path, text)
        for path, text in sorted(wanted.items())
        if _current(root / path) != text
    ]


def _current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _diff(root: Path, path: Path, text: str | None) -> str:
    before = (_current(root / path) or "").splitlines(keepends=True)
    after = (text or "").splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, str(path), f"{path} (right)"))


def write(root: Path) -> None:
    """Writes what `changes` shows."""
    for path, text in wanted_files(root).items():
        if _current(root / path) != text:
            (root / path).write_text(text, encoding="utf-8")
            print(f"wrote {path}")


def main() -> None:
    """Checks or writes, as the arguments say."""
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    here = Path(__file__).resolve().parent.parent
    root = Path(arguments[0]).resolve() if arguments else here
    if "--check" not in sys.argv:
        write(root)
        return
    found = changes(root)
    if found:
        print("\n".join(found), "Run `make build-files`.", sep="\n")
        sys.exit(1)
    print("BUILD files and setup.cfg's packages agree with the sources.")


if __name__ == "__main__":
    main()
