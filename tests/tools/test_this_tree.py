"""The rules hold for this repository, read by other means than the tools' own."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import thresher
from thresher.tools import build_files
from thresher.tools.layering import violations
from thresher.tools.source_tree import python_files

ROOT = Path(thresher.__file__).resolve().parent


def test_every_import_follows_the_arrows():
    assert violations(ROOT) == []


def test_build_files_and_the_list_of_packages_are_up_to_date():
    assert build_files.changes(ROOT) == []


def test_every_module_is_in_exactly_one_target():
    sources = Counter(
        f"{path.parent.relative_to(ROOT).as_posix()}/{name}"
        for path in ROOT.rglob("BUILD")
        if not path.relative_to(ROOT).parts[0].startswith(".")
        for name in re.findall(r'srcs = \["(\S+)"\]', path.read_text(encoding="utf-8"))
    )
    modules = {
        f"{path.parent.relative_to(ROOT).as_posix()}/{path.name}"
        for path in python_files(ROOT)
    }
    assert set(sources) == modules
    assert set(sources.values()) == {1}


def test_every_folder_of_modules_is_a_package():
    folders = {path.parent for path in python_files(ROOT)}
    assert [f for f in sorted(folders) if not (f / "__init__.py").exists()] == []
