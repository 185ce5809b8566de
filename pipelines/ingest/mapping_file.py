"""Reads mappings from YAML; every mistake is named with its file, key and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Union

from thresher.episodes.errors import UserError
from thresher.episodes.metadata import BehaviourKind
from thresher.episodes.spec import DTYPES, ENCODINGS, EpisodeSpec, FeatureSpec
from thresher.pipelines.ingest.mapping import (
    ALIGNMENTS,
    ALIGNS,
    CLOCK_GAPS,
    DERIVATIONS,
    LATE,
    MARKS,
    MAX_EPISODE_BYTES,
    ON_GAP,
    Clock,
    Label,
    LogMapping,
    MappedFeature,
    Marks,
    Source,
)
from thresher.pipelines.ingest.mapping_keys import Keys, load_yaml
from thresher.pipelines.ingest.mapping_outcomes import (
    ending_of,
    label_of,
    objects_of,
    reward_of,
)

# Steps a nanosecond apart, which clocks count in, and those in thirty years.
_STEPS = (1e-9, 1e9)
_KINDS = tuple(kind.value for kind in BehaviourKind)


def load_mapping(file: Path) -> LogMapping:
    """Returns the mapping of a YAML file.

    Raises:
      UserError: With the file, key, value, rule and remedy.
    """
    keys = Keys(file, "", load_yaml(file))
    clock = _clock(keys)
    behaviour = keys.table("behaviour") or keys.inner("behaviour", {})
    source = keys.table("source") or keys.inner("source", {})
    mapping = LogMapping(
        name=keys.require("name", "a text", "name the kind of episode: name: my_robot"),
        features=_features(keys),
        step_seconds=_step_seconds(keys, clock),
        robot=keys.take("robot", "a text", ""),
        behaviour_kind=BehaviourKind(behaviour.choice("kind", _KINDS, "unknown")),
        policy_id=behaviour.take("policy", "a text", ""),
        policy_version=str(behaviour.take("version", "", "")),
        clock=clock,
        marks=_marks(keys),
        alignment=keys.choice("alignment", ("", *ALIGNMENTS), ""),
        success=label_of(keys, "success", None),
        language=label_of(keys, "language", Label(constant="")) or Label(),
        task=label_of(keys, "task", Label(constant="")) or Label(),
        scene=label_of(keys, "scene", Label(constant="")) or Label(),
        objects=objects_of(keys),
        label_source=keys.take("label_source", "a text", ""),
        reward=reward_of(keys),
        ending=ending_of(keys),
        format=source.take("format", "a text", ""),
        options=_options(source),
    )
    for table in (behaviour, source, keys):
        table.finish()
    _check_whole(keys, mapping)
    return mapping


def _options(source: Keys) -> dict[str, str]:
    options = source.take("options", "a table", {})
    # YAML reads `yes` as true; readers are told texts.
    return {
        str(key): str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in options.items()
    }


def _clock(keys: Keys) -> Optional[Clock]:
    table = keys.table("clock")
    if table is None:
        return None
    clock = Clock(
        stream=table.take("stream", "a text", ""),
        rate_hz=table.positive("rate_hz", *_STEPS),
        time=table.choice("time", ("log", "header"), "log"),
        log_time_topics=table.texts("log_time_topics"),
        max_gap_seconds=table.positive("max_gap_seconds"),
        on_gap=table.choice("on_gap", CLOCK_GAPS, "keep"),
        late=table.choice("late", ("", *LATE), ""),
        timestamp=table.take("timestamp", "true or false", True),
    )
    table.finish()
    if not clock.stream and clock.rate_hz is None:
        raise table.error(
            "stream", "name a field whose values are the steps, or rate_hz"
        )
    if clock.on_gap != "keep" and clock.max_gap_seconds is None:
        raise table.error("on_gap", "say what a gap is: max_gap_seconds: 0.5")
    return clock


def _step_seconds(keys: Keys, clock: Optional[Clock]) -> float:
    said = keys.positive("step_seconds", *_STEPS)
    rate = clock.rate_hz if clock else None
    if said is None and rate is None:
        raise keys.missing(
            "step_seconds", "say the time between steps: step_seconds: 0.1"
        )
    if said is not None and rate is not None and abs(said * rate - 1) > 1e-6:
        raise keys.error(
            "step_seconds", f"contradicts clock.rate_hz of {rate}; drop one"
        )
    return float(said if said is not None else 1.0 / (rate or 1.0))


def _features(keys: Keys) -> tuple[MappedFeature, ...]:
    table = keys.require("features", "a table", "give at least one observation")
    inner = keys.inner("features", table)
    features = [_feature(inner, name, "latest-before") for name in inner.names()]
    for feature in features:
        if feature.spec.name.split("/")[0] == "action":
            raise inner.error(feature.spec.name, "write actions under the key action")
    return (*features, *_actions(keys))


def _actions(keys: Keys) -> tuple[MappedFeature, ...]:
    table = keys.table("action")
    if table is None:
        return ()
    if table.names() != ["parts"]:
        return (_feature(keys, "action", "latest-before-next"),)
    parts = table.table("parts")
    assert parts is not None
    return tuple(
        _feature(parts, name, "latest-before-next", f"action/{name}")
        for name in parts.names()
    )


def _feature(
    keys: Keys, key: str, align: str, name: Optional[str] = None
) -> MappedFeature:
    table = keys.table(key)
    if table is None:
        raise keys.error(key, "is empty; say where it comes from: {from: FIELD}")
    derivation, fields = _fields(table, is_action=align != "latest-before")
    source = Source(
        fields=fields,
        # A derived action is made of states, which are aligned as observations are.
        align=table.choice("align", ALIGNS, "latest-before" if derivation else align),
        tolerance_seconds=table.positive("tolerance_seconds"),
        on_gap=table.choice("on_gap", ON_GAP, "trim"),
        scale=_numbers(table, "scale", 1.0),
        offset=_numbers(table, "offset", 0.0),
        not_finite=table.take("not_finite", "a number"),
    )
    if source.align == "nearest" and source.tolerance_seconds is None:
        raise table.error("align", "nearest needs tolerance_seconds: 0.05, say")
    spec = _feature_spec(table, name or key, fields)
    feature = MappedFeature(
        spec=spec,
        source=source,
        derivation=derivation,
        resize=table.take("resize", "true or false", False),
    )
    table.finish()
    _check_feature(table, feature)
    return feature


def _fields(table: Keys, is_action: bool) -> tuple[str, tuple[str, ...]]:
    given = {
        derivation: fields
        for derivation in DERIVATIONS
        if (fields := table.texts(derivation or "from"))
    }
    if len(given) != 1:
        ways = "from, next_of or difference_of" if is_action else "from"
        raise table.error("from", f"say where it comes from, by one of: {ways}")
    derivation, fields = next(iter(given.items()))
    if derivation and not is_action:
        raise table.error(derivation, "is for actions; observations come from a field")
    return derivation, fields


def _feature_spec(table: Keys, name: str, fields: tuple[str, ...]) -> FeatureSpec:
    labels = table.texts("labels")
    encoding = table.choice("encoding", ENCODINGS, "raw")
    dtype = table.choice("dtype", DTYPES, "uint8" if encoding != "raw" else "float32")
    # A list of scalars is the commonest vector.
    guess = [len(labels)] if labels else [len(fields)] if len(fields) > 1 else []
    shape = table.take("shape", "a list", guess)
    if not all(type(size) is int and 0 < size <= 1 << 20 for size in shape):
        raise table.error("shape", "must be whole numbers above zero, as in [7]")
    doc = table.take("doc", "a text", ", ".join(fields))
    unit = table.take("unit", "a text", "")
    frame = table.take("frame", "a text", "")
    minimum, maximum = _bound(table, "minimum"), _bound(table, "maximum")
    try:
        return FeatureSpec(
            name=name,
            shape=tuple(shape),
            dtype=dtype,
            doc=doc,
            unit=unit,
            frame=frame,
            minimum=minimum,
            maximum=maximum,
            encoding=encoding,
            labels=labels,
        )
    except UserError as error:
        raise table.error("", str(error)) from error


def _check_feature(table: Keys, feature: MappedFeature) -> None:
    is_number = feature.spec.dtype != "str" and not feature.spec.is_image
    source = feature.source
    if not is_number and source.align == "interpolate":
        raise table.error("align", "only numbers can be interpolated")
    is_plain = (source.scale, source.offset, source.not_finite) == (1.0, 0.0, None)
    if not is_number and not is_plain:
        raise table.error("scale", "only numbers have scale, offset and not_finite")
    if feature.derivation == "difference_of" and not is_number:
        raise table.error("difference_of", "only numbers have differences")
    if feature.spec.is_image and len(source.fields) != 1:
        raise table.error("from", "a picture comes from one field")
    if feature.resize and not feature.spec.is_image:
        raise table.error("resize", "is for pictures, which have an encoding")


def _numbers(table: Keys, key: str, default: float) -> Union[float, tuple[float, ...]]:
    value = table.take(key, "", default)
    if isinstance(value, list) and value and all(_is_number(v) for v in value):
        return tuple(float(number) for number in value)
    if not _is_number(value):
        raise table.error(key, "must be a number, or a list of one for each entry")
    return float(value)


def _bound(table: Keys, key: str) -> Any:
    return None if table.take(key, "") is None else _numbers(table, key, 0.0)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _marks(keys: Keys) -> Marks:
    table = keys.table("episodes")
    if table is None:
        return Marks()
    by = table.choice("by", MARKS, "whole_file")
    marks = Marks(
        by=by,
        field=table.take("field", "a text", ""),
        start=table.take("start", "a text" if by == "message" else ""),
        stop=table.take("stop", "a text" if by == "message" else ""),
        seconds=table.positive("seconds") or 0.0,
        open_end=table.choice("open_end", ("reject", "keep"), "reject"),
        carry=table.take("carry", "true or false", True),
        min_steps=table.take("min_steps", "a whole number", 2),
        max_bytes=table.take("max_bytes", "a whole number", MAX_EPISODE_BYTES),
    )
    table.finish()
    _check_marks(table, marks)
    return marks


def _check_marks(table: Keys, marks: Marks) -> None:
    if marks.by in ("value", "stamp_reset", "column") and not marks.field:
        raise table.missing("field", f"{marks.by} watches a field")
    if marks.by == "value" and marks.start is None:
        raise table.missing("start", "say which value begins an episode")
    if marks.by == "message" and not marks.start:
        raise table.missing("start", "name the topic that begins an episode")
    if marks.by == "gap" and not marks.seconds:
        raise table.missing("seconds", "say how long a silence ends one")
    if marks.min_steps < 2:
        raise table.error(
            "min_steps", "must be 2 or more: one action, two observations"
        )
    if marks.max_bytes < 1:
        raise table.error("max_bytes", "must be above zero")


def _check_whole(keys: Keys, mapping: LogMapping) -> None:
    if mapping.reward.source == "success" and mapping.success is None:
        raise keys.error("reward", "success is not said anywhere; add the key success")
    if mapping.reward.source == "none" and mapping.success is not None:
        raise keys.error(
            "reward",
            "without rewards, success stays unknown; write reward: success to make one "
            "of the other, or add success later with an annotation file",
        )
    if mapping.ending.kind == "success" and mapping.success is None:
        raise keys.error("ending", "success is not said anywhere; add the key success")
    if mapping.alignment in ("sar", "oxe") and any(
        f.derivation for f in mapping.features
    ):
        raise keys.error(
            "alignment", "an action made of states has none after the last: write rlds"
        )
    try:
        spec: EpisodeSpec = mapping.spec
    except UserError as error:
        raise keys.error("features", str(error)) from error
    if not spec.observation:
        raise keys.error("features", "name at least one 'observation/…'")
