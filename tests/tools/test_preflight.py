"""A machine that cannot run Thresher is told so, and what to do, before installing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from thresher.tools import preflight

GLIBC = ("glibc", "2.36")


def _fake_python(folder: Path, name: str, script: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_linux_on_x86_64_with_glibc_passes():
    preflight.check_platform("Linux", "x86_64", GLIBC)


@pytest.mark.parametrize(
    ("system", "machine", "libc", "said"),
    [
        ("Darwin", "arm64", ("", ""), "this is Darwin arm64"),
        ("Windows", "AMD64", ("", ""), "WSL 2"),
        ("Linux", "aarch64", GLIBC, "this is Linux aarch64"),
        ("Linux", "x86_64", ("", ""), "musl"),
        ("Linux", "x86_64", ("glibc", "2.17"), "this system has 2.17"),
    ],
)
def test_another_platform_is_refused_with_its_name(system, machine, libc, said):
    with pytest.raises(preflight.Refusal, match=said):
        preflight.check_platform(system, machine, libc)


def test_the_running_python_is_found():
    assert preflight.find_python([sys.executable]) == sys.executable


def test_candidates_that_will_not_do_are_passed_over(tmp_path):
    broken_shim = _fake_python(tmp_path, "python3.9", "exit 127")
    too_new = _fake_python(tmp_path, "python3", "echo 3.12 64 CPython; echo venv")
    found = preflight.find_python(["no-such", broken_shim, too_new, sys.executable])
    assert found == sys.executable


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 127", "pyenv shim"),
        ("echo 3.12 64 CPython; echo venv", "is Python 3.12"),
        ("echo 3.8 64 CPython; echo venv", "is Python 3.8"),
        ("echo 3.11 32 CPython; echo venv", "is 32-bit"),
        ("echo 3.10 64 PyPy; echo venv", "PyPy"),
        ("echo 3.10 64 CPython", "apt-get install python3.10-venv"),
    ],
)
def test_each_unsuitable_python_is_listed_with_its_reason(tmp_path, script, said):
    python = _fake_python(tmp_path, "python", script)
    with pytest.raises(preflight.Refusal, match=said) as refusal:
        preflight.find_python([python, "no-such"])
    assert "not found" in str(refusal.value)
    assert "make PYTHON=" in str(refusal.value)


def test_a_full_disk_is_refused_with_sizes_and_remedy(tmp_path):
    with pytest.raises(preflight.Refusal, match="needs 1000000000.0 GB free"):
        preflight.check_space(tmp_path / "new" / "venv", 10**18, "It", "make VENV=x")
    preflight.check_space(tmp_path / "new" / "venv", 1, "It", "make VENV=x")


def test_the_program_prints_only_the_interpreter(tmp_path):
    command = [sys.executable, preflight.__file__, str(tmp_path / "venv")]
    answer = subprocess.run(
        [*command, sys.executable], check=True, capture_output=True, text=True
    )
    assert answer.stdout == sys.executable + "\n"
    refused = subprocess.run(
        [*command, "no-such"], check=False, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "no-such" in refused.stderr
