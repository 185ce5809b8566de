"""The one statement of what an episode's arrays are.

TFDS features, tensor specs, log schemas, random samples for tests and documentation
all derive from an `EpisodeSpec`; no other place states a shape or a unit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Union

import numpy as np

from thresher.episodes.errors import UserError, unknown_name
from thresher.episodes.images import EncodedImages, encode_images

Column = Union[np.ndarray, EncodedImages]
Bound = Union[None, float, tuple]

DTYPES = ("float32", "float64", "uint8", "int32", "int64", "bool", "str")
ENCODINGS = ("raw", "png", "jpeg")
ALIGNMENTS = ("rlds", "oxe")
# Double underscores are kept free: log schemas write '/' as '__'.
_NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*(/[a-z0-9]+(_[a-z0-9]+)*)*")


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """One array of an episode, per step.

    Attributes:
      name: Slash path inside a step: 'observation/image', 'action'.
      shape: Shape of one step's value, without the step axis.
      dtype: One of `DTYPES`.
      doc: What it means, in a sentence.
      unit: SI unit ('m', 'rad', 's', 'm/s'); empty for none.
      frame: Coordinate frame the numbers are expressed in; empty for none.
      minimum: Smallest legal value, one for all entries or one per last-axis entry.
      maximum: Largest legal value, likewise.
      encoding: 'raw' numbers, or 'png' or 'jpeg' for uint8 images [H, W, C].
      labels: Names of the entries along the last axis; empty for none.

    Raises:
      UserError: A name, dtype, encoding or bound that cannot be.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    doc: str
    unit: str = ""
    frame: str = ""
    minimum: Bound = None
    maximum: Bound = None
    encoding: str = "raw"
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(
                f"feature name {self.name!r}: use lower-case words joined by single "
                "underscores, and '/' between levels, as in 'observation/wrist_image'"
            )
        if self.dtype not in DTYPES:
            raise unknown_name(f"dtype of feature {self.name!r}", self.dtype, DTYPES)
        if self.encoding not in ENCODINGS:
            raise unknown_name(
                f"encoding of feature {self.name!r}", self.encoding, ENCODINGS
            )
        if self.is_image and (self.dtype != "uint8" or len(self.shape) != 3):
            raise UserError(
                f"feature {self.name!r}: encoding {self.encoding!r} is for uint8 "
                f"images [H, W, C], not {self.dtype} {list(self.shape)}; use 'raw'"
            )
        if self.labels and (not self.shape or len(self.labels) != self.shape[-1]):
            raise UserError(
                f"feature {self.name!r}: {len(self.labels)} labels for the last axis "
                f"of shape {list(self.shape)}; give one per entry"
            )
        self._check_bounds()

    def _check_bounds(self) -> None:
        for word, bound in (("minimum", self.minimum), ("maximum", self.maximum)):
            if isinstance(bound, tuple) and self.shape[-1:] != (len(bound),):
                raise UserError(
                    f"feature {self.name!r}: {len(bound)} numbers in {word} for the "
                    f"last axis of shape {list(self.shape)}; give one, or one per entry"
                )
        if self.minimum is None or self.maximum is None:
            return
        if np.any(np.asarray(self.minimum) > np.asarray(self.maximum)):
            raise UserError(
                f"feature {self.name!r}: minimum {self.minimum} is above maximum "
                f"{self.maximum}, so no value is legal; exchange them"
            )

    @property
    def is_image(self) -> bool:
        """Whether values are kept as encoded image files."""
        return self.encoding != "raw"

    def problems(self, column: Column) -> list[str]:
        """Returns a sentence for every rule that a column of steps breaks.

        Args:
          column: [N, *shape], or N encoded images.
        """
        if self.is_image != isinstance(column, EncodedImages):
            kind = "encoded images" if self.is_image else "an array"
            return [f"{self.name} must be {kind}, not {type(column).__name__}"]
        if isinstance(column, EncodedImages):
            return self._image_problems(column)
        return self._array_problems(column)

    def _image_problems(self, images: EncodedImages) -> list[str]:
        return [
            f"{self.name} at step {step}: {problem}"
            for step, problem in images.problems(self.encoding, self.shape)
        ]

    def _array_problems(self, array: np.ndarray) -> list[str]:
        if array.shape[1:] != self.shape:
            return [
                f"{self.name} has shape {list(array.shape[1:])} a step where the spec "
                f"says {list(self.shape)}"
            ]
        if self.dtype == "str":
            return [] if array.dtype.kind in "OU" else [f"{self.name} must be strings"]
        if array.dtype != np.dtype(self.dtype):
            return [f"{self.name} is {array.dtype} where the spec says {self.dtype}"]
        return self._value_problems(array)

    def _value_problems(self, array: np.ndarray) -> list[str]:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            step = int(np.argwhere(~np.isfinite(array))[0][0])
            return [f"{self.name} is not finite at step {step}: {array[step]}"]
        problems = []
        for bound, sign, word in (
            (self.minimum, -1, "below its minimum"),
            (self.maximum, 1, "above its maximum"),
        ):
            if bound is None:
                continue
            # Whole numbers have no bound of 0.5, nor a uint8 one of -1.
            is_float = array.dtype.kind == "f"
            limit = np.asarray(bound, dtype=array.dtype if is_float else None)
            outside = array > limit if sign > 0 else array < limit
            if outside.any():
                step = int(np.argwhere(outside)[0][0])
                problems.append(
                    f"{self.name} is {word} {bound} at step {step}: {array[step]}"
                )
        return problems

    def zeros(self, count: int) -> np.ndarray:
        """Returns [count, *shape] zeros (empty strings) before any encoding."""
        if self.dtype == "str":
            return np.full((count, *self.shape), "", dtype=object)
        return np.zeros((count, *self.shape), dtype=self.dtype)

    def sample(self, rng: np.random.Generator, count: int) -> Column:
        """Returns `count` random legal values: [count, *shape] or encoded images."""
        shape = (count, *self.shape)
        if self.dtype == "str":
            words = rng.integers(0, 1000, size=shape)
            return np.vectorize(lambda n: f"word {n}", otypes=[object])(words)
        if self.dtype == "bool":
            return rng.integers(0, 2, size=shape).astype(bool)
        if self.dtype in ("float32", "float64"):
            low = np.asarray(-1.0 if self.minimum is None else self.minimum)
            high = np.asarray(1.0 if self.maximum is None else self.maximum)
            return rng.uniform(low, high, size=shape).astype(self.dtype)
        default_high = 255 if self.dtype == "uint8" else 100
        low = np.asarray(0 if self.minimum is None else self.minimum)
        high = np.asarray(default_high if self.maximum is None else self.maximum)
        drawn = rng.integers(low, high + 1, size=shape).astype(self.dtype)
        return encode_images(drawn, self.encoding) if self.is_image else drawn


REWARD = FeatureSpec("reward", (), "float32", "Reward that followed the action.")
DISCOUNT = FeatureSpec(
    "discount",
    (),
    "float32",
    "Discount that followed the action: 0 where the episode ended for good, else 1.",
    minimum=0.0,
    maximum=1.0,
)
IS_FIRST = FeatureSpec("is_first", (), "bool", "First step of the episode.")
IS_LAST = FeatureSpec(
    "is_last", (), "bool", "Last step: its action, reward and discount mean nothing."
)
IS_TERMINAL = FeatureSpec(
    "is_terminal", (), "bool", "Last step of an episode that did not merely time out."
)
STANDARD = (REWARD, DISCOUNT, IS_FIRST, IS_LAST, IS_TERMINAL)


@dataclasses.dataclass(frozen=True)
class EpisodeSpec:
    """Every array of an episode.

    Attributes:
      name: What kind of episode this is: 'bin_grasping'.
      features: Observations ('observation/…'), the action ('action' or 'action/…')
        and extras. Reward, discount and the RLDS flags are added by us.
      step_seconds: Time from one step to the next, in seconds.
      alignment: 'rlds', or 'oxe' where the last step holds a valid action and the
        last reward, and the final observation is left out.
    """

    name: str
    features: tuple[FeatureSpec, ...]
    step_seconds: float
    alignment: str = "rlds"

    def __post_init__(self) -> None:
        if self.alignment not in ALIGNMENTS:
            raise unknown_name("alignment", self.alignment, ALIGNMENTS)
        names = [feature.name for feature in self.all_features]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise UserError(
                f"episode spec {self.name!r} names {doubled[0]!r} twice; reward, "
                "discount and flags are added without being asked for"
            )
        for name in names:
            below = [other for other in names if other.startswith(f"{name}/")]
            if below:
                raise UserError(
                    f"episode spec {self.name!r}: feature {name!r} cannot hold both "
                    f"values and the feature {below[0]!r}; rename one of them"
                )
        if not self.step_seconds > 0:
            raise UserError(
                f"episode spec {self.name!r}: step_seconds must be positive, not "
                f"{self.step_seconds}"
            )

    @property
    def all_features(self) -> tuple[FeatureSpec, ...]:
        """The features with reward, discount and flags."""
        return self.features + STANDARD

    @property
    def observation(self) -> dict[str, FeatureSpec]:
        """Observation features by the name below 'observation/'."""
        return {
            feature.name.split("/", 1)[1]: feature
            for feature in self.features
            if feature.name.startswith("observation/")
        }

    @property
    def action(self) -> FeatureSpec:
        """The single action feature.

        Raises:
          UserError: The action has several parts, or there is none.
        """
        return self["action"]

    def __getitem__(self, name: str) -> FeatureSpec:
        """Returns the feature of a name; raises UserError with the near matches."""
        for feature in self.all_features:
            if feature.name == name:
                return feature
        known = [feature.name for feature in self.all_features]
        raise unknown_name(f"feature of {self.name!r}", name, known)

    def __contains__(self, name: str) -> bool:
        return any(feature.name == name for feature in self.all_features)

    def to_json(self) -> str:
        """Returns the spec as JSON text that `from_json` reads back."""
        raw = dataclasses.asdict(self)
        # Left out where it is the usual one: logs carry digests from before it was.
        if self.alignment == ALIGNMENTS[0]:
            del raw["alignment"]
        return json.dumps(raw, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> EpisodeSpec:
        """Reads a spec that `to_json` wrote."""
        raw = json.loads(text)
        features = tuple(_feature_from_dict(feature) for feature in raw["features"])
        alignment = raw.get("alignment", ALIGNMENTS[0])
        return cls(raw["name"], features, raw["step_seconds"], alignment)

    def digest(self) -> str:
        """Returns 16 hexadecimal digits that change whenever the spec does."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


def _feature_from_dict(raw: Mapping[str, Any]) -> FeatureSpec:
    lists_as_tuples = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in raw.items()
    }
    return FeatureSpec(**lists_as_tuples)
