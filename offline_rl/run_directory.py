"""A training run's folder: one configuration, resumable, never mixed up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write, require_writable

CONFIG = "config.json"


def open_run_directory(path: Path, config: Mapping[str, Any]) -> None:
    """Makes a run folder, or checks that an existing one is of this configuration.

    Args:
      path: New, empty, or a run's.
      config: Everything that decides what the run computes, as JSON values.

    Raises:
      UserError: The folder holds a run of another configuration (the differing keys
        are named), or something else, or cannot be written.
    """
    require_writable(path)
    file = path / CONFIG
    if file.exists():
        _require_same(
            path, json.loads(file.read_text()), json.loads(json.dumps(config))
        )
        return
    others = sorted(entry.name for entry in path.iterdir())
    if others:
        raise UserError(
            f"{path} holds other files ({', '.join(others[:3])}) and no {CONFIG}: "
            "choose a new or empty folder for the run"
        )
    atomic_write(file, json.dumps(config, indent=1, sort_keys=True) + "\n")


def _require_same(
    path: Path, there: Mapping[str, Any], here: Mapping[str, Any]
) -> None:
    there, here = _flat(there), _flat(here)
    differing = [
        f"{key} was {there.get(key)!r} and is now {here.get(key)!r}"
        for key in sorted({*there, *here})
        if there.get(key) != here.get(key)
    ]
    if differing:
        raise UserError(
            f"{path} is a run of another configuration: {'; '.join(differing)}. Use "
            "the same settings to go on with it, or another folder"
        )


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
