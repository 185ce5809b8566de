"""What ships in a wheel: the packages for setup.cfg, and the data files beside them."""

from __future__ import annotations

import re
from pathlib import Path

from thresher.tools.layers import NOT_SHIPPED
from thresher.tools.source_tree import PACKAGE, folders

_PACKAGES = re.compile(r"(?m)^packages =\n(?:    \S+\n)+")
_NOT_DATA = {".py", ".pyc"}


def shipped(root: Path) -> list[str]:
    """Dotted names of the packages that belong in a wheel, sorted."""
    found = []
    for folder in folders(root):
        parts = folder.relative_to(root).parts
        if (folder / "__init__.py").is_file() and not _stays(parts):
            found.append(".".join([PACKAGE, *parts]))
    return sorted(found)


def _stays(parts: tuple[str, ...]) -> bool:
    return bool(parts) and parts[0] in NOT_SHIPPED


def data_files(folder: Path) -> list[str]:
    """Names of the files in a folder that its modules may read."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_file() and path.suffix not in _NOT_DATA and path.name != "BUILD"
    )


def with_packages(setup_cfg: str, names: list[str]) -> str:
    """The text of setup.cfg with these packages in it.

    Raises:
        ValueError: it has no such list.
    """
    block = "packages =\n" + "".join(f"    {name}\n" for name in names)
    text, count = _PACKAGES.subn(block, setup_cfg)
    if count != 1:
        raise ValueError("setup.cfg has no single list 'packages =', one name a line")
    return text
