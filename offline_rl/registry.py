"""Learners by name, imported only when asked for."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from thresher.episodes.errors import UserError, unknown_name


@dataclasses.dataclass(frozen=True)
class LearnerEntry:
    """Where a learner is found.

    Attributes:
      config: 'module:class' of its frozen dataclass of settings.
      learner: 'module:class' of the learner itself.
    """

    config: str
    learner: str


_LEARNERS = {
    "qt-opt": LearnerEntry(
        config="thresher.offline_rl.qt_opt.config:QtOptConfig",
        learner="thresher.offline_rl.qt_opt.learner:QtOptLearner",
    ),
}


def learner_names() -> list[str]:
    """Returns the names of all learners."""
    return sorted(_LEARNERS)


def make_config(name: str, settings: Mapping[str, Any]) -> Any:
    """Returns a learner's configuration with some settings changed.

    Raises:
      UserError: No such learner, no such setting, or a value that cannot be.
    """
    config_class = _load(_entry(name).config)
    known = [field.name for field in dataclasses.fields(config_class)]
    for setting in settings:
        if setting not in known:
            raise unknown_name(f"setting of learner {name!r}", setting, known)
    try:
        return config_class(**settings)
    except TypeError as error:
        raise UserError(f"settings of learner {name!r}: {error}") from error


def learner_class(name: str) -> Callable[..., Any]:
    """Returns a learner's class; raises UserError with the near matches."""
    loaded: Callable[..., Any] = _load(_entry(name).learner)
    return loaded


def _entry(name: str) -> LearnerEntry:
    if name not in _LEARNERS:
        raise unknown_name("learner", name, _LEARNERS)
    return _LEARNERS[name]


def _load(place: str) -> Any:
    module, attribute = place.split(":")
    return getattr(importlib.import_module(module), attribute)
