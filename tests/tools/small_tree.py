"""Small source trees on disk, right or wrong, to check the checks with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SETUP_CFG = """\
[options]
packages =
    thresher
install_requires =
    numpy>=1.23
    pillow
    tensorflow~=2.15.1

[options.extras_require]
dev =
    pytest
"""
RIGHT = {
    "__init__.py": '"""Root."""\n__version__ = "1"\n',
    "cli.py": "def main():\n    import tensorflow\n    import thresher.envs.world\n",
    "episodes/__init__.py": '"""Episodes."""\n',
    "episodes/spec.py": "import json\nimport numpy\n",
    "envs/__init__.py": '"""Worlds."""\n',
    "envs/world.py": "from thresher.episodes.spec import FeatureSpec\n",
    "envs/arm.json": "{}\n",
    "pipelines/__init__.py": '"""Pipelines."""\n',
    "tests/__init__.py": '"""Tests."""\n',
    "tests/conftest.py": "import pytest\n",
    "tests/envs/__init__.py": '"""Tests."""\n',
    "tests/envs/test_world.py": "from thresher.envs import world\nimport pytest\n",
}


def make_tree(root: Path, changed: Mapping[str, str | None] | None = None) -> Path:
    """Writes a right tree with some files changed (None: left out)."""
    files = {"setup.cfg": SETUP_CFG, **RIGHT, **(changed or {})}
    for name, text in files.items():
        if text is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return root
