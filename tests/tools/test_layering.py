"""The layering check accepts a right tree and names each way to be wrong."""

from __future__ import annotations

import pytest

from thresher.tests.tools.small_tree import make_tree
from thresher.tools.layering import violations


def test_a_tree_that_follows_the_arrows_has_no_violations(tmp_path):
    assert violations(make_tree(tmp_path)) == []


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        (
            "episodes/spec.py",
            "import thresher.envs.other",
            "episodes/spec.py:1: 'episodes' may not import 'envs'",
        ),
        (
            "episodes/spec.py",
            "def f():\n    from thresher.envs import other",
            "episodes/spec.py:2: 'episodes' may not import 'envs'",
        ),
        (
            "envs/world.py",
            "from thresher.tests import conftest",
            "'envs' may not import 'tests'",
        ),
        (
            "envs/world.py",
            "WORLDS = ['thresher.pipelines.plan:Plan']",
            "'envs' may not import 'pipelines'",
        ),
        ("envs/world.py", "import episodes.spec", "write thresher.episodes.spec"),
        ("envs/world.py", "from episodes import spec", "write thresher.episodes.spec"),
        ("envs/world.py", "from . import other", "relative import"),
        ("cli.py", "from thresher import eval", "shadows a builtin"),
        ("cli.py", "from thresher.episodes import no_such", "does not exist"),
        ("cli.py", "import tensorflow", "tensorflow is heavy"),
        (
            "cli.py",
            "import thresher.envs.other",
            "envs/other.py:1: tensorflow is heavy",
        ),
        ("envs/world.py", "import torch", "setup.cfg does not declare"),
        ("envs/world.py", "import pytest", "setup.cfg does not declare"),
        ("envs/__init__.py", "from numpy import array", "only a docstring"),
        ("misc/tools.py", "", "'misc' is no layer"),
        ("loose.py", "", "'loose' is no layer"),
    ],
)
def test_a_broken_rule_is_named_with_its_place(tmp_path, path, source, complaint):
    root = make_tree(
        tmp_path,
        {
            "envs/other.py": "import tensorflow\n",
            "eval/__init__.py": '"""Judging."""\n',
            "pipelines/plan.py": "class Plan: ...\n",
            path: source + "\n",
        },
    )
    found = violations(root)
    assert len(found) == 1
    assert complaint in found[0]


def test_a_circle_of_imports_is_named_even_if_deferred(tmp_path):
    root = make_tree(
        tmp_path,
        {
            "episodes/a.py": "import thresher.episodes.b\n",
            "episodes/b.py": "def f():\n    import thresher.episodes.a\n",
        },
    )
    assert violations(root) == [
        "circle of imports: thresher.episodes.a → thresher.episodes.b "
        "→ thresher.episodes.a"
    ]


def test_a_string_that_only_looks_like_a_module_is_no_import(tmp_path):
    root = make_tree(tmp_path, {"episodes/spec.py": "CHANNEL = 'thresher.spec'\n"})
    assert violations(root) == []
