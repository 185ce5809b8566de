"""Writes constraints.txt: one exact version of every package, for each Python.

Each supported Python is resolved on its own, because many packages' newest releases
have dropped the older ones, and the results are merged with environment markers,
which pip accepts in constraint files.

Usage: python tools/lock.py UV   (the uv executable; `make lock` installs it)
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PYTHONS = ("3.9", "3.10", "3.11")
# Wheels of this tag install on glibc 2.28 and later, which preflight.py asks for.
PLATFORM = "x86_64-manylinux_2_28"
HEADER = """\
# Every package at one version, for Python {pythons} on Linux x86-64.
# Written by `make lock` from setup.cfg with all extras; do not edit by hand.
"""


def resolve(uv: str, python: str, root: Path) -> dict[str, str]:
    """Versions of all packages of setup.cfg for one Python, by package name."""
    command = [uv, "pip", "compile", "setup.cfg", "--all-extras", "--quiet"]
    command += ["--python-version", python, "--python-platform", PLATFORM]
    command += ["--no-header", "--no-annotate", "--no-python-downloads"]
    output = subprocess.run(
        command, cwd=root, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    pairs = (line.split("==") for line in output.splitlines() if "==" in line)
    return {name.strip(): version.strip() for name, version in pairs}


def marker(pythons: list[str]) -> str:
    """The environment marker that is true on exactly these neighbouring Pythons.

    >>> marker(["3.10", "3.11"])
    'python_version >= "3.10"'
    """
    first, last = PYTHONS.index(pythons[0]), PYTHONS.index(pythons[-1])
    bounds = []
    if first > 0:
        bounds.append(f'python_version >= "{PYTHONS[first]}"')
    if last < len(PYTHONS) - 1:
        bounds.append(f'python_version < "{PYTHONS[last + 1]}"')
    return " and ".join(bounds)


def lines_of(package: str, versions: Mapping[str, str]) -> list[str]:
    """The constraint lines of one package, from its version on each Python.

    A Python that does not need the package takes the line of the one before it:
    a constraint on a package that is not installed has no effect.
    """
    version = next(versions[python] for python in PYTHONS if python in versions)
    filled = {}
    for python in PYTHONS:
        version = filled[python] = versions.get(python, version)
    groups = itertools.groupby(PYTHONS, key=filled.__getitem__)
    lines = []
    for version, pythons in groups:
        condition = marker(list(pythons))
        lines.append(f"{package}=={version}" + (f" ; {condition}" if condition else ""))
    return lines


def merge(resolutions: Mapping[str, Mapping[str, str]]) -> str:
    """The text of constraints.txt, from the versions found on each Python."""
    packages = sorted({name for found in resolutions.values() for name in found})
    body = []
    for package in packages:
        versions = {
            python: found[package]
            for python, found in resolutions.items()
            if package in found
        }
        body += lines_of(package, versions)
    return HEADER.format(pythons=", ".join(PYTHONS)) + "\n".join(body) + "\n"


def main() -> None:
    """Resolves for every Python and replaces constraints.txt."""
    root = Path(__file__).resolve().parent.parent
    resolutions = {}
    for python in PYTHONS:
        print(f"Resolving for Python {python} …", flush=True)
        resolutions[python] = resolve(sys.argv[1], python, root)
        print(f"  {len(resolutions[python])} packages", flush=True)
    (root / "constraints.txt").write_text(merge(resolutions), encoding="utf-8")


if __name__ == "__main__":
    main()
