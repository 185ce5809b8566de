"""A wheel holds every module and data file that ships, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import thresher
from thresher.tools.layers import MAY_IMPORT
from thresher.tools.source_tree import folders

ROOT = Path(thresher.__file__).resolve().parent
NOT_SHIPPED = {"BUILD"}


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory) -> set[str]:
    """Names of the files in a wheel built from a copy of the sources."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("setup.cfg", "pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy)
    for path in ROOT.glob("*.py"):
        shutil.copy(path, copy)
    shutil.copy(ROOT / "py.typed", copy)
    for layer in MAY_IMPORT:
        if layer and (ROOT / layer).is_dir():
            shutil.copytree(ROOT / layer, copy / layer)
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('out'))"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True)
    (wheel,) = (copy / "out").glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def _shipped_sources() -> set[str]:
    ours = (f for f in folders(ROOT) if f.relative_to(ROOT).parts[:1])
    return {
        f"thresher/{path.relative_to(ROOT).as_posix()}"
        for folder in ours
        if folder.relative_to(ROOT).parts[0] in MAY_IMPORT
        for path in folder.iterdir()
        if path.is_file() and path.name not in NOT_SHIPPED and path.suffix != ".pyc"
    }


def test_every_module_and_data_file_ships(wheel_names):
    assert _shipped_sources() - wheel_names == set()


def test_the_root_ships_its_modules_and_its_types_mark(wheel_names):
    assert {
        "thresher/__init__.py",
        "thresher/cli.py",
        "thresher/py.typed",
    } <= wheel_names


def test_tools_tests_and_the_projects_own_papers_stay(wheel_names):
    top = {name.split("/")[1] for name in wheel_names if name.startswith("thresher/")}
    assert top <= {*MAY_IMPORT, "__init__.py", "cli.py", "py.typed"}
