"""Which distribution an import comes from, and whether setup.cfg declares it."""

from __future__ import annotations

import configparser
import functools
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

# Imports whose distribution has another name than theirs. The longest match counts.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "google.protobuf": "protobuf",
    "mcap_protobuf": "mcap-protobuf-support",
    "mcap_ros1": "mcap-ros1-support",
    "mcap_ros2": "mcap-ros2-support",
    "pkg_resources": "setuptools",
    "pybullet_data": "pybullet",
    "pybullet_envs": "pybullet",
    "reverb": "dm-reverb",
    "yaml": "pyyaml",
}


def declared(root: Path) -> dict[str, frozenset[str]]:
    """Normalised requirement names in setup.cfg: '' holds the core, then the extras."""
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg", encoding="utf-8")
    groups = {"": config.get("options", "install_requires", fallback="")}
    if config.has_section("options.extras_require"):
        groups.update(config.items("options.extras_require"))
    return {extra: frozenset(_names(text)) for extra, text in groups.items()}


def _names(requirements: str) -> Iterable[str]:
    for line in requirements.splitlines():
        found = re.match(r"[A-Za-z0-9][\w.-]*", line.strip())
        if found:
            yield normalised(found.group())


def normalised(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distribution(imported: str) -> str | None:
    """The distribution a dotted import belongs to; None for the standard library."""
    parts = imported.split(".")
    for length in range(len(parts), 0, -1):
        known = DISTRIBUTIONS.get(".".join(parts[:length]))
        if known:
            return known
    return None if is_standard(parts[0]) else normalised(parts[0])


@functools.cache
def is_standard(top: str) -> bool:
    """Whether a top-level module is Python's own."""
    if top in sys.builtin_module_names or top == "__future__":
        return True
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        return False
    library = Path(sysconfig.get_path("stdlib")).resolve()
    origin = Path(spec.origin)
    return spec.origin == "frozen" or (
        library in origin.resolve().parents and "site-packages" not in origin.parts
    )
