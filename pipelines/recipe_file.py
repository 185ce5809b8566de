"""Reads a recipe from YAML, and says by key what is wrong in one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.checks import DEFAULTS, OFF, REJECT, Check
from thresher.pipelines.plain_yaml import read_plain_yaml, shown
from thresher.pipelines.plan import PlanConfig, shard_bytes
from thresher.pipelines.rebalance import RebalanceConfig
from thresher.pipelines.recipe import Recipe, SourceConfig
from thresher.pipelines.split import SplitConfig

FILE_NAME = "recipe.yaml"


@dataclasses.dataclass(frozen=True)
class RecipeFile:
    """A recipe, with its variants.

    Attributes:
      path: The file.
      recipe: The one without a variant's name, or the first variant.
      variants: By name; empty where there are none.
      notes: What changed, by version.
    """

    path: Path
    recipe: Recipe
    variants: Mapping[str, Recipe]
    notes: Mapping[str, str]

    def variant(self, name: str) -> Recipe:
        """Returns a variant by name; raises UserError with the near matches."""
        if not name:
            return self.recipe
        if not self.variants:
            raise UserError(
                f"{self.path} has no configs, so none is called {name!r}; leave the "
                "config out"
            )
        if name not in self.variants:
            raise unknown_name(f"config of {self.path}", name, self.variants)
        return self.variants[name]


def read_recipe(path: Path) -> RecipeFile:
    """Reads a recipe file, or the one of a dataset's folder.

    Raises:
      UserError: It is not there, is no YAML, or holds a key or value that cannot be;
        the message names file, key, value and remedy.
    """
    path = path / FILE_NAME if path.is_dir() else path
    raw = _load(path)
    if "config" in raw:
        raise UserError(
            f"{path}: the key 'config' cannot be given: a variant is called by its key "
            "in configs, as in configs: {night: {where: …}}"
        )
    variants = _mapping(raw.pop("configs", None) or {}, "configs", path)
    notes = _mapping(raw.pop("release_notes", None) or {}, "release_notes", path)
    made = {}
    for name, changes in variants.items():
        changed = _mapping(changes or {}, f"configs.{name}", path)
        for key in ("name", "config"):
            if key in changed:
                raise UserError(
                    f"{path}: configs.{name} cannot change {key!r} to "
                    f"{shown(changed[key])}: a variant is called by its key; leave it "
                    "out, or write a recipe of its own"
                )
        merged = {**raw, **changed}
        made[str(name)] = _recipe({**merged, "config": str(name)}, path)
    recipe = next(iter(made.values())) if made else _recipe(raw, path)
    return RecipeFile(path, recipe, made, {str(k): str(v) for k, v in notes.items()})


def _load(path: Path) -> dict[str, Any]:
    try:
        raw = read_plain_yaml(path, "recipe")
    except OSError as error:
        raise UserError(
            f"cannot read the recipe {path}: {error.strerror}; `thresher new NAME` "
            "makes one"
        ) from error
    return dict(_mapping(raw, "the recipe", path))


def _mapping(raw: Any, what: str, path: Path) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise UserError(
            f"{path}: {what} must be keys with values, not {shown(raw)}; see "
            "docs/the_dataset.md"
        )
    return raw


def _recipe(raw: Mapping[str, Any], path: Path) -> Recipe:
    readers: dict[str, Callable[[Any, str, Path], Any]] = {
        "sources": _sources,
        "labels": _texts,
        "release": _texts,
        "checks": _checks,
        "split": _split,
        "rebalance": _rebalance,
        "shards": _plan,
    }
    known = {f.name for f in dataclasses.fields(Recipe)} - {"plan"} | {"shards"}
    # What is read before this, and what only a variant's name says.
    written = known - {"config"} | {"configs", "release_notes"}
    values: dict[str, Any] = {"description": ""}
    for key, value in raw.items():
        if key not in known:
            raise _unknown(path, "key", str(key), written)
        target = "plan" if key == "shards" else key
        reader = readers.get(key, _text)
        values[target] = reader(value, key, path)
    for key in ("name", "version"):
        if not values.get(key):
            raise UserError(f"{path}: {key!r} is missing; every recipe says it")
    recipe: Recipe = _made(Recipe, values, path, "recipe")
    if "rebalance" in values:
        _require_rebalanced_split(recipe, path)
    return recipe


def _require_rebalanced_split(recipe: Recipe, path: Path) -> None:
    """Refuses to rebalance a split that there is not; others' splits are not known."""
    split = recipe.split
    if (
        recipe.rebalance
        and not split.keep
        and recipe.rebalance.split not in split.names
    ):
        error = unknown_name("split", recipe.rebalance.split, split.names)
        raise UserError(
            f"{path}, rebalance.split: {error}; name the one to rebalance, or write "
            "`rebalance: off`"
        )


def _made(kind: Any, values: Mapping[str, Any], path: Path, where: str) -> Any:
    """Makes something of checked values; its own refusals name file and key."""
    try:
        return kind(**values)
    except UserError as error:
        raise UserError(f"{path}, {where}: {error}") from error


def _is_off(value: Any) -> bool:
    """Whether a value says no; YAML reads a bare `off` as false, and 0 is a number."""
    return value is None or value is False or value in ("off", "none")


def _section(raw: Any, kind: Any, where: str, path: Path) -> dict[str, Any]:
    """Returns the fields of a section, their types checked against the dataclass."""
    values = {}
    fields = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    for key, value in _mapping(raw, where, path).items():
        if key not in fields:
            raise _unknown(path, f"key of {where}", str(key), set(fields))
        values[str(key)] = _typed(value, fields[key], f"{where}.{key}", path)
    return values


def _typed(value: Any, kind: str, where: str, path: Path) -> Any:
    if kind == "str":
        return _text(value, where, path)
    if kind in ("float", "int"):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or (kind == "int" and int(value) != value):
            wanted = "a whole number" if kind == "int" else "a number"
            raise _wrong(path, where, value, wanted)
        return int(value) if kind == "int" else float(value)
    if kind == "bool" and not isinstance(value, bool):
        raise _wrong(path, where, value, "true or false")
    if kind.startswith("tuple"):
        return tuple(_texts(value, where, path))
    if "Mapping[str, float]" in kind:
        pairs = _mapping(value, where, path).items()
        return {str(k): _typed(v, "float", f"{where}.{k}", path) for k, v in pairs}
    return value


def _text(value: Any, where: str, path: Path) -> str:
    if isinstance(value, (Mapping, list)) or value is None:
        raise _wrong(path, where, value, "a text")
    return str(value)


def _texts(value: Any, where: str, path: Path) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(_text(text, where, path) for text in values)


def _sources(raw: Any, where: str, path: Path) -> tuple[SourceConfig, ...]:
    items = raw if isinstance(raw, list) else [raw]
    return tuple(_source(item, f"{where}[{n}]", path) for n, item in enumerate(items))


def _source(raw: Any, where: str, path: Path) -> SourceConfig:
    if isinstance(raw, str):
        raw = {"logs": raw}
    source: SourceConfig = _made(
        SourceConfig, _section(raw, SourceConfig, where, path), path, where
    )
    return source


def _checks(raw: Any, where: str, path: Path) -> dict[str, Check]:
    return dict(_named_checks(_mapping(raw, where, path), where, path))


def _named_checks(
    raw: Mapping[str, Any], where: str, path: Path
) -> Iterator[tuple[str, Check]]:
    """Yields checks; 'dark: 6' moves a threshold, 'dark: off' and 'flag' the action."""
    for name, value in raw.items():
        if name not in DEFAULTS:
            raise _unknown(path, "check", str(name), set(DEFAULTS))
        usual, place = DEFAULTS[name], f"{where}.{name}"
        values = {"action": usual.action, "threshold": usual.threshold}
        if _is_off(value):
            values["action"] = OFF
        elif isinstance(value, str):
            values["action"] = value
        elif isinstance(value, Mapping):
            values.update(_section(value, Check, place, path))
        elif value is not True:
            values["threshold"] = _typed(value, "float", place, path)
            values["action"] = REJECT if usual.action == OFF else usual.action
        yield name, _made(Check, values, path, place)


def _split(raw: Any, where: str, path: Path) -> SplitConfig:
    values = dict(_mapping(raw, where, path))
    held_out = values.pop("held_out", None)
    made = _section(values, SplitConfig, where, path)
    if held_out is not None:
        pairs = list(_mapping(held_out, f"{where}.held_out", path).items())
        if len(pairs) != 1:
            raise _wrong(path, f"{where}.held_out", held_out, "one 'parameter: value'")
        made["held_out"] = (str(pairs[0][0]), pairs[0][1])
    split: SplitConfig = _made(SplitConfig, made, path, where)
    return split


def _rebalance(raw: Any, where: str, path: Path) -> RebalanceConfig | None:
    if _is_off(raw):
        return None
    config: RebalanceConfig = _made(
        RebalanceConfig, _section(raw, RebalanceConfig, where, path), path, where
    )
    return config


def _plan(raw: Any, where: str, path: Path) -> PlanConfig:
    values = dict(_mapping(raw, where, path))
    megabytes = values.pop("max_shard_mb", None)
    made = _section(values, PlanConfig, where, path)
    if megabytes is not None:
        size = _typed(megabytes, "float", f"{where}.max_shard_mb", path)
        made["max_shard_bytes"] = _made(
            shard_bytes, {"megabytes": size}, path, f"{where}.max_shard_mb"
        )
    plan: PlanConfig = _made(PlanConfig, made, path, where)
    return plan


def _unknown(path: Path, kind: str, name: str, known: set[str]) -> UserError:
    return UserError(f"{path}: {unknown_name(kind, name, known)}")


def _wrong(path: Path, where: str, value: Any, wanted: str) -> UserError:
    return UserError(f"{path}: {where} must be {wanted}, not {shown(value)}")
