"""Domain randomisation: ranges that every episode draws its own world from.

Off by default. A policy that met many cameras, frictions and latencies has a chance
with those of a real robot; what each episode drew is kept in its metadata.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Union

import numpy as np

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.parameters import Parameters, Triple
from thresher.episodes.errors import UserError, unknown_name

Range = tuple[float, float]
# Digits that are kept of what is drawn: metadata then say exactly what was used.
_DIGITS = 4


@dataclasses.dataclass(frozen=True)
class Randomisation:
    """A (least, greatest) pair for everything that may vary, drawn uniformly.

    Ranges of offsets and colours are per axis or channel. What each number means, and
    its unit, is said in `Parameters`.

    Raises:
      UserError: A range that is not two finite numbers in rising order, or that
        leaves what is possible.
    """

    camera_offset: Range = (0.0, 0.0)
    camera_aim_offset: Range = (0.0, 0.0)
    field_of_view: Range = (c.CAMERA_FIELD_OF_VIEW, c.CAMERA_FIELD_OF_VIEW)
    light_offset: Range = (0.0, 0.0)
    light_ambient: Range = (c.LIGHT_AMBIENT, c.LIGHT_AMBIENT)
    light_colour: Range = (1.0, 1.0)
    colour_shift: Range = (0.0, 0.0)
    object_friction: Range = (c.OBJECT_FRICTION, c.OBJECT_FRICTION)
    object_mass: Range = (c.OBJECT_MASS, c.OBJECT_MASS)
    finger_friction: Range = (c.FINGER_FRICTION, c.FINGER_FRICTION)
    finger_force: Range = (c.FINGER_FORCE, c.FINGER_FORCE)
    image_noise: Range = (0.0, 0.0)
    position_noise: Range = (0.0, 0.0)
    yaw_noise: Range = (0.0, 0.0)
    latency: Range = (0.0, 0.0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            checked = _checked(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, checked)

    def draw(self, rng: np.random.Generator, num_objects: int) -> Parameters:
        """Returns one episode's parameters."""

        def number(name: str) -> float:
            return round(float(rng.uniform(*getattr(self, name))), _DIGITS)

        def triple(name: str) -> Triple:
            return (number(name), number(name), number(name))

        return Parameters(
            camera_offset=triple("camera_offset"),
            camera_aim_offset=triple("camera_aim_offset"),
            field_of_view=number("field_of_view"),
            light_offset=triple("light_offset"),
            light_ambient=number("light_ambient"),
            light_colour=triple("light_colour"),
            colour_shifts=tuple(triple("colour_shift") for _ in range(2 + num_objects)),
            object_friction=number("object_friction"),
            object_mass=number("object_mass"),
            finger_friction=number("finger_friction"),
            finger_force=number("finger_force"),
            image_noise=number("image_noise"),
            position_noise=number("position_noise"),
            yaw_noise=number("yaw_noise"),
            latency=number("latency"),
        )


# What each number may be at all.
_POSSIBLE: dict[str, Range] = {
    "camera_offset": (-0.2, 0.2),
    "camera_aim_offset": (-0.1, 0.1),
    "field_of_view": (5.0, 120.0),
    "light_offset": (-2.0, 2.0),
    "light_ambient": (0.0, 1.0),
    "light_colour": (0.0, 2.0),
    "colour_shift": (-1.0, 1.0),
    "object_friction": (0.0, 10.0),
    "object_mass": (0.001, 10.0),
    "finger_friction": (0.0, 10.0),
    "finger_force": (0.1, 1000.0),
    "image_noise": (0.0, 128.0),
    "position_noise": (0.0, 0.1),
    "yaw_noise": (0.0, 1.0),
    "latency": (0.0, float(c.MAX_STEPS)),
}
# Looks, dynamics and latency one by one, and all of them together.
_LOOKS: dict[str, Range] = {
    "camera_offset": (-0.02, 0.02),
    "camera_aim_offset": (-0.01, 0.01),
    "field_of_view": (36.0, 40.0),
    "light_offset": (-0.5, 0.5),
    "light_ambient": (0.4, 0.8),
    "light_colour": (0.8, 1.2),
    "colour_shift": (-0.2, 0.2),
    "image_noise": (0.0, 6.0),
}
_DYNAMICS: dict[str, Range] = {
    "object_friction": (0.6, 1.2),
    "object_mass": (0.05, 0.2),
    "finger_friction": (0.6, 1.0),
    "finger_force": (9.0, 15.0),
    "position_noise": (0.0, 0.003),
    "yaw_noise": (0.0, 0.03),
}
_LATENCY: dict[str, Range] = {"latency": (0.0, 2.0)}
_PRESETS: dict[str, dict[str, Range]] = {
    "looks": _LOOKS,
    "dynamics": _DYNAMICS,
    "latency": _LATENCY,
    "all": {**_LOOKS, **_DYNAMICS, **_LATENCY},
}


def randomisation(
    wanted: Union[str, Mapping[str, Any], Randomisation, None],
) -> Randomisation | None:
    """Returns the ranges that were asked for; None for none.

    Args:
      wanted: 'looks', 'dynamics', 'latency', 'all', or ranges by name.

    Raises:
      UserError: No preset or parameter of a name, or a range that cannot be.
    """
    if wanted is None or isinstance(wanted, Randomisation):
        return wanted
    if isinstance(wanted, str):
        if wanted not in _PRESETS:
            raise unknown_name("randomisation", wanted, _PRESETS)
        wanted = _PRESETS[wanted]
    known = [field.name for field in dataclasses.fields(Randomisation)]
    for name in wanted:
        if name not in known:
            raise unknown_name("randomised parameter", name, known)
    return Randomisation(**wanted)


def _checked(name: str, value: Any) -> Range:
    try:
        low, high = (float(end) for end in value)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"range of {name}: {value!r} is not two numbers, least and greatest"
        ) from error
    least, most = _POSSIBLE[name]
    if not least <= low <= high <= most:
        raise UserError(
            f"range of {name}: [{low:g}, {high:g}] must rise and lie within "
            f"[{least:g}, {most:g}]"
        )
    return low, high
