"""Resolutions for several Pythons merge into constraints that pip reads as meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

import thresher
from thresher.tools.lock import PYTHONS, merge
from thresher.tools.requirements import declared, normalised

ROOT = Path(thresher.__file__).resolve().parent


def _version(constraints: str, package: str, python: str) -> str | None:
    """The one version that the constraints allow a package on a Python."""
    lines = [line for line in constraints.splitlines() if not line.startswith("#")]
    requirements = [Requirement(line) for line in lines]
    allowed = [
        str(requirement.specifier)
        for requirement in requirements
        if requirement.name == package
        and (
            requirement.marker is None
            or requirement.marker.evaluate({"python_version": python})
        )
    ]
    assert len(allowed) <= 1
    return allowed[0] if allowed else None


@pytest.mark.parametrize(
    "versions",
    [
        {"3.9": "1", "3.10": "1", "3.11": "1"},
        {"3.9": "1", "3.10": "2", "3.11": "2"},
        {"3.9": "1", "3.10": "1", "3.11": "2"},
        {"3.9": "1", "3.10": "2", "3.11": "3"},
        {"3.9": "1", "3.10": "2", "3.11": "1"},
        {"3.9": "1"},
        {"3.11": "1"},
        {"3.9": "1", "3.11": "2"},
    ],
)
def test_each_python_gets_the_version_resolved_for_it(versions):
    merged = merge({python: {"some": version} for python, version in versions.items()})
    for python, version in versions.items():
        assert _version(merged, "some", python) == f"=={version}"


def test_the_lock_holds_every_requirement_on_every_python():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    names = set().union(*declared(ROOT).values())
    missing = [
        (name, python)
        for name in sorted(names)
        for python in PYTHONS
        if _version(text, normalised(name), python) is None
    ]
    assert missing == []
