"""The Python modules of a source tree and what each of them imports.

Read from the syntax alone, so nothing is executed and a heavy import costs nothing.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "thresher"
# Written by runs and builds, at the top of a clone.
NOT_SOURCE = {"data", "dist", "runs"}
# A whole string that names a module of ours, or something in it: registries name what
# they load when it is asked for.
_NAMED_IN_STRING = re.compile(rf"({PACKAGE}(?:\.[a-z_]\w*)+)(?::\w+|\.[A-Z]\w*)?")


@dataclasses.dataclass(frozen=True, order=True)
class Import:
    """One import.

    Attributes:
        name: absolute dotted name; for `from a import b` it is `a.b`.
        line: where it stands, from 1.
        deferred: whether importing the module does not run it: inside a function,
            under `if TYPE_CHECKING`, or named in a string.
        relative: whether it was written with leading dots.
        quoted: whether it stands in a string, which may look so by chance.
    """

    name: str
    line: int
    deferred: bool = False
    relative: bool = False
    quoted: bool = False


@dataclasses.dataclass(frozen=True)
class Module:
    """One Python file: `path` is relative to the root, `name` dotted and absolute."""

    path: Path
    name: str
    imports: tuple[Import, ...]
    defines: frozenset[str]
    code: bool  # more than a docstring
    reads_files_beside_it: bool

    @property
    def layer(self) -> str:
        """The first folder, or the module's own name at the root; '' is the root."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else ""

    @property
    def is_package(self) -> bool:
        """Whether this is an `__init__.py`."""
        return self.path.name == "__init__.py"


def read_tree(root: Path) -> dict[str, Module]:
    """Every module under a root by its dotted name."""
    modules = (read_module(root, path) for path in sorted(python_files(root)))
    return {module.name: module for module in modules}


def folders(root: Path) -> Iterator[Path]:
    """The source folders under a root, itself included."""
    yield root
    for folder in sorted(root.iterdir()):
        if folder.is_dir() and not folder.is_symlink() and _is_source(root, folder):
            yield from (
                inner
                for inner in [folder, *sorted(folder.rglob("*"))]
                if inner.is_dir() and inner.name != "__pycache__"
            )


def python_files(root: Path) -> Iterator[Path]:
    """The Python source files under a root."""
    for folder in folders(root):
        yield from folder.glob("*.py")


def _is_source(root: Path, folder: Path) -> bool:
    return not (
        folder.name.startswith((".", "bazel-"))
        or folder.name in NOT_SOURCE
        or folder.name.endswith(".egg-info")
        or (folder / "pyvenv.cfg").exists()
    )


def read_module(root: Path, path: Path) -> Module:
    """Parses one file. Raises SyntaxError, naming the file, where it is no Python."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    relative = path.relative_to(root)
    parts = [PACKAGE, *relative.with_suffix("").parts]
    if parts[-1] == "__init__":
        parts.pop()
    package = parts if relative.name == "__init__.py" else parts[:-1]
    imports = tuple(sorted(set(_imports(tree, package, deferred=False))))
    return Module(
        path=relative,
        name=".".join(parts),
        imports=imports,
        defines=frozenset(_defined_names(tree)),
        code=any(not _is_docstring(node) for node in tree.body),
        reads_files_beside_it=_reads_files(tree, imports),
    )


def _imports(node: ast.AST, package: list[str], deferred: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, node.lineno, deferred)
    elif isinstance(node, ast.ImportFrom):
        yield from _from_imports(node, package, deferred)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        named = _NAMED_IN_STRING.fullmatch(node.value)
        if named:
            yield Import(named.group(1), node.lineno, True, quoted=True)
    inside = deferred or isinstance(
        node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    )
    inside = inside or (isinstance(node, ast.If) and _is_type_checking(node.test))
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, package, inside)


def _from_imports(
    node: ast.ImportFrom, package: list[str], deferred: bool
) -> Iterator[Import]:
    base = node.module or ""
    if node.level:
        above = package[: len(package) - node.level + 1]
        base = ".".join([*above, *filter(None, [node.module])])
    for alias in node.names:
        yield Import(f"{base}.{alias.name}", node.lineno, deferred, bool(node.level))


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _defined_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (t.id for t in node.targets if isinstance(t, ast.Name))


def _reads_files(tree: ast.Module, imports: tuple[Import, ...]) -> bool:
    libraries = ("importlib.resources", "importlib_resources", "pkgutil")
    by_import = any(i.name.startswith(libraries) for i in imports)
    # Jinja's loader takes the package's name and finds the files itself.
    return by_import or any(
        isinstance(node, ast.Name) and node.id in ("__file__", "PackageLoader")
        for node in ast.walk(tree)
    )
