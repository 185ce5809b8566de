"""Makes the tray and its objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.bullet import pybullet
from thresher.envs.grasping.object_models import collision_file, visual_file
from thresher.envs.grasping.parameters import NOMINAL, Parameters, Triple

_TRAY_COLOUR = (0.82, 0.8, 0.76)
# Told apart at 64 pixels from the tray and from each other; an object keeps its own.
_PALETTE = (
    (0.84, 0.15, 0.16),
    (0.12, 0.47, 0.71),
    (0.17, 0.63, 0.17),
    (1.0, 0.5, 0.05),
    (0.58, 0.4, 0.74),
    (0.9, 0.85, 0.1),
    (0.09, 0.75, 0.81),
)


def make_tray(client: int, parameters: Parameters = NOMINAL) -> None:
    """Makes floor and walls of five boxes; the floor's top is at height 0."""
    colour = coloured(_TRAY_COLOUR, parameters.colour_shifts[:1])
    half, thick, high = c.TRAY_HALF_WIDTH, c.WALL_THICKNESS, c.WALL_HEIGHT
    reach = half + thick
    boxes = [
        ((half + thick, half + thick, thick), (0, 0, -thick)),
        ((thick / 2, reach, high / 2), (half + thick / 2, 0, high / 2)),
        ((thick / 2, reach, high / 2), (-half - thick / 2, 0, high / 2)),
        ((reach, thick / 2, high / 2), (0, half + thick / 2, high / 2)),
        ((reach, thick / 2, high / 2), (0, -half - thick / 2, high / 2)),
    ]
    for extents, place in boxes:
        body = pybullet.createMultiBody(
            0,
            *box(client, extents, colour),
            basePosition=place,
            physicsClientId=client,
        )
        pybullet.changeDynamics(
            body, -1, lateralFriction=c.TRAY_FRICTION, physicsClientId=client
        )


def make_object(
    client: int,
    number: int,
    position: Sequence[float],
    orientation: Sequence[float],
    parameters: Parameters = NOMINAL,
    shift: Sequence[Triple] = (),
) -> int:
    """Makes one object at a pose and returns its body.

    Args:
      client: Of the simulation.
      number: Which of the thousand.
      position: x, y, z in metres.
      orientation: Quaternion x, y, z, w.
      parameters: Its friction and mass.
      shift: Of its colour; none or one.
    """
    shape = pybullet.createCollisionShape(
        pybullet.GEOM_MESH,
        fileName=str(collision_file(number)),
        physicsClientId=client,
    )
    visual = pybullet.createVisualShape(
        pybullet.GEOM_MESH,
        fileName=str(visual_file(number)),
        rgbaColor=coloured(_PALETTE[number % len(_PALETTE)], shift),
        physicsClientId=client,
    )
    body: int = pybullet.createMultiBody(
        parameters.object_mass,
        shape,
        visual,
        basePosition=position,
        baseOrientation=orientation,
        useMaximalCoordinates=1,
        physicsClientId=client,
    )
    pybullet.changeDynamics(
        body, -1, lateralFriction=parameters.object_friction, physicsClientId=client
    )
    return body


def coloured(colour: Triple, shift: Sequence[Triple]) -> tuple[float, ...]:
    """Returns red, green, blue, opacity of a colour, shifted by none or one shift."""
    total = np.sum([colour, *shift], axis=0)
    return (*np.clip(total, 0.0, 1.0).tolist(), 1.0)


def box(
    client: int, half_extents: Sequence[float], colour: Sequence[float]
) -> tuple[int, int]:
    """Returns a box's collision and visual shape."""
    kind: dict[str, Any] = {"halfExtents": half_extents, "physicsClientId": client}
    return (
        pybullet.createCollisionShape(pybullet.GEOM_BOX, **kind),
        pybullet.createVisualShape(pybullet.GEOM_BOX, rgbaColor=colour, **kind),
    )
