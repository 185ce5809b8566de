"""Makes the bodies of the simulation: tray, objects, gantry with its gripper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.bullet import pybullet
from thresher.envs.grasping.object_models import collision_file, object_model

_TRAY_COLOUR = (0.82, 0.8, 0.76, 1)
_GANTRY_COLOUR = (0.25, 0.27, 0.3, 1)
_PAD_COLOUR = (0.12, 0.12, 0.13, 1)
# Told apart at 64 pixels from the tray and from each other; an object keeps its own.
_PALETTE = (
    (0.84, 0.15, 0.16, 1),
    (0.12, 0.47, 0.71, 1),
    (0.17, 0.63, 0.17, 1),
    (1.0, 0.5, 0.05, 1),
    (0.58, 0.4, 0.74, 1),
    (0.9, 0.85, 0.1, 1),
    (0.09, 0.75, 0.81, 1),
)


def make_tray(client: int) -> None:
    """Makes floor and walls of five boxes; the floor's top is at height 0."""
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
            *_box(client, extents, _TRAY_COLOUR),
            basePosition=place,
            physicsClientId=client,
        )
        pybullet.changeDynamics(
            body, -1, lateralFriction=c.TRAY_FRICTION, physicsClientId=client
        )


def make_object(
    client: int, number: int, position: Sequence[float], orientation: Sequence[float]
) -> int:
    """Makes one object at a pose and returns its body."""
    model = object_model(number)
    shape = pybullet.createCollisionShape(
        pybullet.GEOM_MESH,
        fileName=str(collision_file(number)),
        physicsClientId=client,
    )
    vertices, indices = _flat_mesh(model.parts, model.triangles)
    visual = pybullet.createVisualShape(
        pybullet.GEOM_MESH,
        vertices=vertices,
        indices=indices,
        rgbaColor=_PALETTE[number % len(_PALETTE)],
        physicsClientId=client,
    )
    body: int = pybullet.createMultiBody(
        c.OBJECT_MASS,
        shape,
        visual,
        basePosition=position,
        baseOrientation=orientation,
        useMaximalCoordinates=1,
        physicsClientId=client,
    )
    pybullet.changeDynamics(
        body, -1, lateralFriction=c.OBJECT_FRICTION, physicsClientId=client
    )
    return body


def make_gantry(client: int) -> int:
    """Makes the gantry: joints x, y, z, yaw, left finger, right finger.

    All joints at zero put the fingertips' centre at the world's origin, fingers
    closed; a finger's joint is its pad's distance from the middle.
    """
    palm_half = (c.PAD_WIDTH / 2, c.OPENING / 2 + c.FINGER_THICKNESS, c.PALM_HEIGHT / 2)
    finger_half = (c.PAD_WIDTH / 2, c.FINGER_THICKNESS / 2, c.FINGER_LENGTH / 2)
    palm = _box(client, palm_half, _GANTRY_COLOUR)
    finger = _box(client, finger_half, _PAD_COLOUR)
    palm_centre = (0, 0, c.FINGER_LENGTH + c.PALM_HEIGHT / 2)
    sideways = c.FINGER_THICKNESS / 2
    below = -(c.PALM_HEIGHT + c.FINGER_LENGTH) / 2
    slide, turn = pybullet.JOINT_PRISMATIC, pybullet.JOINT_REVOLUTE
    origin, upright = (0, 0, 0), (0, 0, 0, 1)
    gantry: int = pybullet.createMultiBody(
        0,
        -1,
        -1,
        linkMasses=[1, 1, 1, 1, c.FINGER_MASS, c.FINGER_MASS],
        linkCollisionShapeIndices=[-1, -1, -1, palm[0], finger[0], finger[0]],
        linkVisualShapeIndices=[-1, -1, -1, palm[1], finger[1], finger[1]],
        linkPositions=[
            origin,
            origin,
            palm_centre,
            origin,
            (0, sideways, below),
            (0, -sideways, below),
        ],
        linkOrientations=[upright] * 6,
        linkInertialFramePositions=[origin] * 6,
        linkInertialFrameOrientations=[upright] * 6,
        linkParentIndices=[0, 1, 2, 3, 4, 4],
        linkJointTypes=[slide, slide, slide, turn, slide, slide],
        linkJointAxis=[
            (1, 0, 0),
            (0, 1, 0),
            (0, 0, 1),
            (0, 0, 1),
            (0, 1, 0),
            (0, -1, 0),
        ],
        physicsClientId=client,
    )
    for link in (4, 5):
        pybullet.changeDynamics(
            gantry,
            link,
            lateralFriction=c.FINGER_FRICTION,
            spinningFriction=c.FINGER_SPINNING_FRICTION,
            rollingFriction=c.FINGER_ROLLING_FRICTION,
            jointLowerLimit=0.0,
            jointUpperLimit=c.OPENING / 2,
            physicsClientId=client,
        )
    return gantry


def _box(
    client: int, half_extents: Sequence[float], colour: Sequence[float]
) -> tuple[int, int]:
    """Returns a box's collision and visual shape."""
    kind: dict[str, Any] = {"halfExtents": half_extents, "physicsClientId": client}
    return (
        pybullet.createCollisionShape(pybullet.GEOM_BOX, **kind),
        pybullet.createVisualShape(pybullet.GEOM_BOX, rgbaColor=colour, **kind),
    )


def _flat_mesh(
    parts: Sequence[np.ndarray], triangles: Sequence[np.ndarray]
) -> tuple[list[list[float]], list[int]]:
    """Returns the parts' surfaces as one mesh."""
    vertices: list[list[float]] = []
    indices: list[int] = []
    for part, faces in zip(parts, triangles):
        indices += (faces.reshape(-1) + len(vertices)).tolist()
        vertices += part.tolist()
    return vertices, indices
