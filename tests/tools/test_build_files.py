"""BUILD files say what the sources say, and the check notices when they do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from thresher.tests.tools.small_tree import make_tree
from thresher.tools import build_files


def _built(root: Path) -> Path:
    make_tree(root)
    build_files.write(root)
    return root


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def _target(root: Path, folder: str, name: str) -> str:
    """The text of one target, read without the tool that wrote it."""
    text = (root / folder / "BUILD").read_text(encoding="utf-8")
    blocks = re.split(r"\n\n", text)
    (found,) = [block for block in blocks if f'name = "{name}"' in block]
    return found


def test_what_is_written_needs_no_change(tmp_path):
    assert build_files.changes(_built(tmp_path)) == []


def test_deps_are_the_imports_of_ours_and_tags_those_of_others(tmp_path):
    root = _built(tmp_path)
    assert 'deps = ["//episodes:spec"]' in _target(root, "envs", "world")
    assert 'tags = ["pip:numpy"]' in _target(root, "episodes", "spec")
    assert 'deps = ["//envs:world"]' in _target(root, "", "cli")


def test_a_test_depends_on_the_conftest_above_it(tmp_path):
    target = _target(_built(tmp_path), "tests/envs", "test_world")
    assert target.startswith("pytest_test(")
    assert '"//tests:conftest"' in target


def test_a_test_that_reaches_tensorflow_is_tagged_heavy(tmp_path):
    root = make_tree(tmp_path, {"episodes/spec.py": "import tensorflow\n"})
    build_files.write(root)
    assert '"heavy"' in _target(root, "tests/envs", "test_world")
    assert '"heavy"' not in _target(
        _built(tmp_path / "light"), "tests/envs", "test_world"
    )


def test_a_layer_is_visible_to_those_above_it_alone(tmp_path):
    root = _built(tmp_path)
    envs = (root / "envs" / "BUILD").read_text(encoding="utf-8")
    assert '"//pipelines:__subpackages__"' in envs
    assert '"//:__pkg__"' in envs
    assert '"//episodes:__subpackages__"' not in envs
    assert '"//tools:__subpackages__"' not in envs


def test_data_beside_a_module_that_reads_files_is_its_data(tmp_path):
    root = make_tree(tmp_path, {"envs/world.py": "import importlib.resources\n"})
    build_files.write(root)
    assert 'data = ["arm.json"]' in _target(root, "envs", "world")


@pytest.mark.parametrize(
    ("folder", "right", "wrong"),
    [
        ("envs", '    deps = ["//episodes:spec"],\n', ""),  # a missing dep
        ("envs", "//episodes:spec", "//episodes:unused"),
        ("episodes", "pip:numpy", "pip:torch"),
        ("episodes", 'srcs = ["spec.py"]', 'srcs = ["spec.py", "__init__.py"]'),
        ("envs", '"//:__pkg__"', '"//:__pkg__",\n        "//episodes:__subpackages__"'),
        ("tests/envs", "pytest_test(", "py_library("),
    ],
)
def test_a_build_file_that_disagrees_is_shown(tmp_path, folder, right, wrong):
    root = _built(tmp_path)
    _edit(root / folder / "BUILD", right, wrong)
    (change,) = build_files.changes(root)
    assert change.startswith(f"--- {folder}/BUILD")


def test_a_new_module_and_a_new_package_are_missed(tmp_path):
    root = _built(tmp_path)
    make_tree(root, {"episodes/logs/__init__.py": '"""Logs."""\n'})
    shown = "\n".join(build_files.changes(root))
    assert "+++ episodes/logs/BUILD" in shown
    assert "+    thresher.episodes.logs" in shown


def test_a_build_file_whose_folder_lost_its_modules_is_shown(tmp_path):
    root = _built(tmp_path)
    for source in (root / "tests" / "envs").glob("*.py"):
        source.unlink()
    (change,) = build_files.changes(root)
    assert change.startswith("--- tests/envs/BUILD")
