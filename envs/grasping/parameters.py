"""What differs from episode to episode when the world is randomised."""

from __future__ import annotations

import dataclasses

from thresher.envs.grasping import constants as c

Triple = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Parameters:
    """The world's adjustable numbers in one episode; the defaults are the plain world.

    Attributes:
      camera_offset: Added to the camera's place, metres.
      camera_aim_offset: Added to the point that it looks at, metres.
      field_of_view: Of the camera, degrees.
      light_offset: Added to the direction of the light.
      light_ambient: Share of light that comes from everywhere, 0 to 1.
      light_colour: Strength of red, green, blue light.
      colour_shifts: Added to red, green, blue in [0, 1] of the tray, the gripper and
        each object, in this order; empty for none.
      object_friction: Lateral friction of every object.
      object_mass: Of every object, kg.
      finger_friction: Lateral friction of the pads.
      finger_force: Of each finger, N.
      image_noise: Standard deviation of every picture's entries, in grey levels.
      position_noise: Standard deviation of the measured x, y, z and opening, metres.
      yaw_noise: Standard deviation of the measured yaw, radians.
      latency: How late an observation is, in steps; 1.5 shows what was one and a half
        steps before.
    """

    camera_offset: Triple = (0.0, 0.0, 0.0)
    camera_aim_offset: Triple = (0.0, 0.0, 0.0)
    field_of_view: float = c.CAMERA_FIELD_OF_VIEW
    light_offset: Triple = (0.0, 0.0, 0.0)
    light_ambient: float = c.LIGHT_AMBIENT
    light_colour: Triple = (1.0, 1.0, 1.0)
    colour_shifts: tuple[Triple, ...] = ()
    object_friction: float = c.OBJECT_FRICTION
    object_mass: float = c.OBJECT_MASS
    finger_friction: float = c.FINGER_FRICTION
    finger_force: float = c.FINGER_FORCE
    image_noise: float = 0.0
    position_noise: float = 0.0
    yaw_noise: float = 0.0
    latency: float = 0.0

    def as_environment(self) -> dict[str, float | str]:
        """Returns flat values for an episode's metadata; triples as 'x y z'."""
        return {
            field.name: _flat(getattr(self, field.name))
            for field in dataclasses.fields(self)
        }


NOMINAL = Parameters()


def _flat(value: float | tuple[object, ...]) -> float | str:
    if not isinstance(value, tuple):
        return value
    if value and isinstance(value[0], tuple):
        return "; ".join(
            str(_flat(entry)) for entry in value if isinstance(entry, tuple)
        )
    return " ".join(f"{entry:g}" for entry in value)
