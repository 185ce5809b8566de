"""Takes a field out of a decoded message, whatever library decoded it.

A field is written as its topic and the way into its messages::

    /odom.pose.pose.position            a vector, flattened in declared order
    /joint_states.position[2]           an entry; [1:4] is a stretch of them
    /joint_states.position[name=elbow]  the entry whose neighbour `name` says elbow
    /tf.transforms[child_frame_id=base_link].transform.translation
                                        of several messages, the one that says so
    /log['a.b']                         a JSON key that holds a dot

Messages are dataclasses (ROS), protobuf messages or dictionaries (JSON).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.ingest.message_images import image_of, is_image
from thresher.pipelines.ingest.picture import sniff
from thresher.pipelines.ingest.whole_numbers import array_of, joined

# Stands for "this message has no such element", which is no error: a /tf message
# holds some frames and the next one others.
MISSING = object()
# Asked of every message, and the same for all of a type.
_NAMES: dict[Any, list[str]] = {}
_STEP = re.compile(r"\.([^.\[\]]+)|\[(?:'([^']*)'|\"([^\"]*)\"|([^\]]*))\]")
_SECONDS = ("sec", "secs", "seconds")
_NANOSECONDS = ("nanosec", "nsec", "nsecs", "nanos")


class FieldValueError(ValueError):
    """A field's value in one message is not what a column can hold."""


@dataclasses.dataclass(frozen=True)
class FieldPath:
    """A field of a topic.

    Attributes:
      text: As it was written.
      topic: The topic's name.
      steps: Names, and selectors in brackets ('[2]', '[1:4]', '[name=elbow]').
    """

    text: str
    topic: str
    steps: tuple[str, ...]


def parse_field(text: str, topics: Collection[str]) -> FieldPath:
    """Returns the topic and the way of a field.

    Args:
      text: '/odom.pose.pose.position'.
      topics: Those of the log; the longest that fits is meant.

    Raises:
      UserError: No topic fits, or the way cannot be read.
    """
    fitting = [t for t in topics if text.startswith(t) and text[len(t) :][:1] in ".["]
    topic = max(fitting + ([text] if text in topics else []), key=len, default=None)
    if topic is None:
        raise unknown_name(
            "topic of the recording", re.split(r"[.\[]", text)[0], topics
        )
    return FieldPath(text, topic, tuple(_steps(text, text[len(topic) :])))


def _steps(text: str, way: str) -> Iterator[str]:
    at = 0
    while at < len(way):
        step = _STEP.match(way, at)
        if step is None:
            raise UserError(
                f"field {text!r} cannot be read from {way[at:]!r} on: write names "
                "after dots and entries in brackets, as in '/joint_states.position[0]'"
            )
        name, quoted, doubly, selector = step.groups()
        yield next(
            (part for part in (name, quoted, doubly) if part is not None),
            f"[{selector}]",
        )
        at = step.end()


class FieldReader:
    """Reads one field out of every message of its topic."""

    def __init__(self, path: FieldPath) -> None:
        self.path = path
        # Whether it is in brackets, and what stands there or the name.
        self._steps = [
            (True, step[1:-1])
            if step[:1] == "[" and step[-1:] == "]"
            else (False, step)
            for step in path.steps
        ]
        self._keys: dict[str, tuple[str, ...]] = {}

    def __call__(self, message: Any) -> Any:
        """Returns the field's value: a number, text, array, image bytes or `MISSING`.

        Raises:
          UserError: The type of message has no such field, with the near ones.
          FieldValueError: The value is none that a column can hold.
        """
        value, parent = message, None
        for is_selector, step in self._steps:
            if is_selector:
                value, parent = self._select(value, parent, step), value
            else:
                value, parent = self._child(value, step), value
            if value is MISSING:
                return MISSING
        return self._value(value)

    def _child(self, record: Any, name: str) -> Any:
        if isinstance(record, dict):
            return record.get(name, MISSING)
        names = field_names(record)
        if name in names:
            return getattr(record, name)
        if not names:
            raise self._not_a_record(record, name)
        if name in _constants(type(record)):
            raise UserError(
                f"field {self.path.text!r}: {name} is a constant of the definition of "
                f"{self.path.topic} (always {getattr(record, name)!r}), which no "
                f"message holds; name one of its fields: {', '.join(names)}"
            )
        raise unknown_name(
            f"field in {self.path.text!r} of {self.path.topic}", name, names
        )

    def _not_a_record(self, value: Any, name: str) -> UserError:
        return UserError(
            f"field {self.path.text!r}: {name!r} is asked of {_kind(value)}, which has "
            "no named parts; end the field before it, or take an entry with [0]"
        )

    def _select(self, value: Any, parent: Any, selector: str) -> Any:
        if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__len__"):
            raise UserError(
                f"field {self.path.text!r}: [{selector}] asks for an entry of "
                f"{_kind(value)}; brackets belong after lists"
            )
        key, equals, wanted = selector.partition("=")
        if equals:
            return self._select_by_name(value, parent, key, wanted.split(","))
        return self._select_by_position(value, selector)

    def _select_by_position(self, value: Any, selector: str) -> Any:
        try:
            numbers = [int(n) if n else None for n in selector.split(":")]
        except ValueError:
            numbers = []
        if len(numbers) == 2:
            return value[numbers[0] : numbers[1]]
        if len(numbers) != 1 or numbers[0] is None:
            raise UserError(
                f"field {self.path.text!r}: [{selector}] is neither a number, a "
                "stretch like [1:4] nor a name like [name=elbow]"
            )
        position = numbers[0]
        if not -len(value) <= position < len(value):
            return MISSING
        return value[position]

    def _select_by_name(
        self, value: Any, parent: Any, key: str, wanted: list[str]
    ) -> Any:
        if len(value) and field_names(value[0]):
            names = [str(self._child(element, key)) for element in value]
        else:
            names = [str(name) for name in self._child(parent, key)]
        if any(name not in names[: len(value)] for name in wanted):
            return MISSING
        chosen = [value[names.index(name)] for name in wanted]
        return chosen[0] if len(chosen) == 1 else chosen

    def _value(self, value: Any) -> Any:
        if isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, list) and set(map(type, value)) == {float}:
            # Most lists of JSON, with nothing more to ask.
            return np.array(value)
        if isinstance(value, np.ndarray):
            # A view would keep the whole message in memory.
            return value.copy() if value.ndim else value.item()
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, (bytes, bytearray, memoryview)):
            whole = bytes(value)
            return whole if sniff(whole) else np.frombuffer(whole, np.uint8)
        if is_image(value):
            return image_of(value)
        if is_time(value):
            return nanoseconds(value)
        return self._flat(value)

    def _flat(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], str):
            return np.array(value, dtype=object)
        leaves: list[np.ndarray] = []
        self._add_leaves(value, "", leaves)
        if not leaves:
            return np.zeros(0)
        return joined(leaves)

    def _add_leaves(self, value: Any, way: str, leaves: list[np.ndarray]) -> None:
        if isinstance(value, (bool, int, float, np.generic)):
            leaves.append(np.asarray([value]))
        elif isinstance(value, np.ndarray):
            leaves.append(value.reshape(-1))
        elif value is None or isinstance(value, (str, bytes)):
            raise FieldValueError(
                f"{self.path.text}{way} is {_kind(value)} where numbers are wanted; "
                "name the parts that are numbers"
            )
        elif is_time(value):
            raise FieldValueError(
                f"{self.path.text}{way} is a time among other numbers; name the parts "
                "that belong together"
            )
        elif field_names(value) or isinstance(value, dict):
            self._add_record(value, way, leaves)
        else:
            self._add_list(value, way, leaves)

    def _add_record(self, value: Any, way: str, leaves: list[np.ndarray]) -> None:
        names = self._order(value, way)
        parts = [_get(value, name) for name in names]
        if set(map(type, parts)) == {float}:
            # Most points and turns, with nothing more to ask.
            leaves.append(np.array(parts))
            return
        for name, part in zip(names, parts):
            self._add_leaves(part, f"{way}.{name}", leaves)

    def _add_list(self, value: Any, way: str, leaves: list[np.ndarray]) -> None:
        elements = list(value)
        if elements and all(type(e) in (int, float, bool) for e in elements):
            leaves.append(array_of(elements))
            return
        for position, element in enumerate(elements):
            self._add_leaves(element, f"{way}[{position}]", leaves)

    def _order(self, record: Any, way: str) -> tuple[str, ...]:
        """Returns the parts' order; that of the first message where none is declared.

        JSON writers may order keys anew in every message: numbers must not swap.
        """
        names = tuple(field_names(record))
        if not isinstance(record, dict):
            return names
        first = self._keys.setdefault(way, names)
        if first != names and sorted(first) != sorted(names):
            raise FieldValueError(
                f"{self.path.text}{way} has the keys {list(names)}, in the first "
                f"message {list(first)}; name the keys that are always there"
            )
        return first


def field_names(record: Any) -> list[str]:
    """Returns the names of a message's parts in declared order; [] for no message."""
    if isinstance(record, dict):
        return [str(name) for name in record]
    kind = type(record)
    if kind not in _NAMES:
        _NAMES[kind] = _declared(kind)
    return _NAMES[kind]


def _declared(kind: Any) -> list[str]:
    if dataclasses.is_dataclass(kind):
        constants = _constants(kind)
        names = [field.name for field in dataclasses.fields(kind)]
        return [name for name in names if name not in constants]
    descriptor = getattr(kind, "DESCRIPTOR", None)
    return [field.name for field in descriptor.fields] if descriptor else []


def _constants(kind: Any) -> set[str]:
    """Returns the constants of a ROS definition, which rosbags makes class variables.

    Dataclasses take them for fields, for their annotations are texts there.
    """
    if not dataclasses.is_dataclass(kind):
        return set()
    return {f.name for f in dataclasses.fields(kind) if "ClassVar" in str(f.type)}


def is_time(record: Any) -> bool:
    """Whether a message is a time or a duration."""
    names = field_names(record)
    if len(names) != 2:
        return False
    first, second = names
    return (first in _SECONDS and second in _NANOSECONDS) or (
        first in _NANOSECONDS and second in _SECONDS
    )


def nanoseconds(record: Any) -> int:
    """Returns a time or duration in whole nanoseconds."""
    seconds = next(_get(record, n) for n in field_names(record) if n in _SECONDS)
    rest = next(_get(record, n) for n in field_names(record) if n in _NANOSECONDS)
    return int(seconds) * 10**9 + int(rest)


def _get(record: Any, name: str) -> Any:
    return record[name] if isinstance(record, dict) else getattr(record, name)


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return f"the text {value[:20]!r}"
    if value is None:
        return "nothing (null)"
    if isinstance(value, np.ndarray):
        return f"an array of {list(value.shape)}"
    return f"a value of type {type(value).__name__}"
