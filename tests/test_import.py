"""What importing the package does, seen from a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys

import thresher

ASK = (
    f"import os, sys, {thresher.__name__}\n"
    "print(os.environ['TF_ENABLE_ONEDNN_OPTS'], 'tensorflow' in sys.modules)\n"
    "import pyarrow\n"
    "print(pyarrow.default_memory_pool().backend_name)\n"
)


def _ask(**environment):
    chosen = ("TF_ENABLE_ONEDNN_OPTS", "ARROW_DEFAULT_MEMORY_POOL")
    kept = {k: v for k, v in os.environ.items() if k not in chosen}
    kept["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_every_process_computes_with_the_same_kernels_whatever_it_imports_first():
    assert _ask() == ["1", "False", "system"]


def test_who_chose_other_kernels_keeps_them():
    assert _ask(TF_ENABLE_ONEDNN_OPTS="0") == ["0", "False", "system"]


def test_who_chose_another_allocator_keeps_it():
    assert _ask(ARROW_DEFAULT_MEMORY_POOL="mimalloc")[-1] == "mimalloc"
