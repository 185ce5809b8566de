"""Takes out of a mapping what it says of whole episodes: labels, rewards, endings."""

from __future__ import annotations

import re
from typing import Any, Optional

from thresher.pipelines.ingest.guesses import is_discount_name
from thresher.pipelines.ingest.mapping import Ending, Label, Reward
from thresher.pipelines.ingest.mapping_keys import Keys


def label_of(keys: Keys, key: str, default: Optional[Label]) -> Optional[Label]:
    """Returns where something about an episode is said, or the default."""
    value = keys.take(key, "")
    if value is None:
        return default
    if not isinstance(value, dict):
        return Label(constant=value)
    table = keys.inner(key, value)
    label = Label(
        field=table.take("field", "a text", ""),
        attribute=table.take("attribute", "a text", ""),
        constant=table.take("constant", ""),
        at=table.choice("at", ("first", "last", "any", "all"), "last"),
        matches=table.take("matches", "a text", ""),
        success_values=tuple(table.take("success_values", "a list", [])),
        failure_values=tuple(table.take("failure_values", "a list", [])),
    )
    table.finish()
    given = [bool(label.field), bool(label.attribute), label.constant is not None]
    if sum(given) != 1:
        raise table.error("", "give one of: field, attribute, constant")
    try:
        re.compile(label.matches)
    except re.error as error:
        raise table.error("matches", f"is no regular expression ({error})") from error
    return label


def objects_of(keys: Keys) -> tuple[Label, ...]:
    """Returns where each object is named."""
    value = keys.take("objects", "")
    several = value if isinstance(value, list) else [] if value is None else [value]
    inner = keys.inner("objects", {str(n): v for n, v in enumerate(several)})
    labels = [label_of(inner, name, None) for name in inner.names()]
    return tuple(label for label in labels if label is not None)


def reward_of(keys: Keys) -> Reward:
    """Returns where rewards come from."""
    value = keys.take("reward", "")
    if value is None:
        return Reward("success" if keys.take("success", "") is not None else "none")
    if value in ("none", "success"):
        return Reward(value)
    if not isinstance(value, dict):
        raise keys.error("reward", "must be none, success, or {field: FIELD}")
    table = keys.inner("reward", value)
    reward = Reward(
        "field",
        table.require("field", "a text", "name the field that holds rewards"),
        table.choice("given_with", ("action", "next_observation"), "action"),
    )
    table.finish()
    return reward


def ending_of(keys: Keys) -> Ending:
    """Returns whether episodes end for good."""
    value = keys.take("ending", "")
    if value is None:
        return Ending()
    if value in ("time_out", "terminal", "success"):
        return Ending(value)
    if not isinstance(value, dict):
        rule = "must be time_out, terminal, success, or {field: FIELD}"
        raise keys.error("ending", rule)
    table = keys.inner("ending", value)
    ending = Ending(
        "field",
        table.require("field", "a text", "name the field"),
        _terminal_values(table),
    )
    table.finish()
    if is_discount_name(ending.field) and not ending.terminal_values:
        raise table.error(
            "field",
            "a discount of zero ends an episode for good, not one that is above it; "
            "write {field: " + ending.field + ", terminal_values: [0]}",
        )
    return ending


def _terminal_values(table: Keys) -> tuple[Any, ...]:
    values = table.take("terminal_values", "a list")
    if values is None:
        return ()
    if not values:
        raise table.error("terminal_values", "name at least one, or leave the key out")
    if not all(isinstance(value, (bool, int, float, str)) for value in values):
        raise table.error("terminal_values", "must be numbers, texts, or true or false")
    return tuple(values)
