"""The camera: pictures of the simulation, and the projection that made them."""

from __future__ import annotations

import numpy as np

from thresher.envs.grasping import constants as c
from thresher.envs.grasping.bullet import pybullet
from thresher.envs.grasping.geometry import GraspGeometry, Mirror
from thresher.envs.grasping.parameters import NOMINAL, Parameters

_NEAR, _FAR = 0.05, 2.0


def _matrices(parameters: Parameters) -> tuple[list[float], list[float]]:
    """Returns OpenGL's view and projection matrix, column by column."""
    eye = np.add(c.CAMERA_EYE, parameters.camera_offset).tolist()
    aim = np.add(c.CAMERA_TARGET, parameters.camera_aim_offset).tolist()
    view = pybullet.computeViewMatrix(eye, aim, (0, 0, 1))
    lens = pybullet.computeProjectionMatrixFOV(
        parameters.field_of_view, 1.0, _NEAR, _FAR
    )
    return view, lens


def grasp_geometry(parameters: Parameters = NOMINAL) -> GraspGeometry:
    """Returns the camera's projection and the workspace."""
    view, lens = _matrices(parameters)
    clip = np.array(lens).reshape(4, 4).T @ np.array(view).reshape(4, 4).T
    # From OpenGL's [-1, 1] with y up to [0, 1] with y down.
    right = (clip[0] + clip[3]) / 2
    down = (clip[3] - clip[1]) / 2
    return GraspGeometry(
        projection=np.stack([right, down, clip[3]]),
        action_scale=np.array(c.ACTION_SCALE),
        workspace_low=np.array(c.WORKSPACE_LOW),
        workspace_high=np.array(c.WORKSPACE_HIGH),
        floor_height=0.0,
        # The camera stands in the plane x = 0.
        mirror=Mirror(
            observation={"gripper_planar_pose": (-1.0, 1.0, -1.0)},
            action=(-1.0, 1.0, 1.0, -1.0, 1.0),
        ),
    )


class Camera:
    """A camera over the shoulder; renders square RGB pictures."""

    def __init__(self, client: int, image_size: int) -> None:
        self._client = client
        self._size = image_size
        self.look(NOMINAL)

    def look(self, parameters: Parameters) -> None:
        """Takes its place, lens and light for an episode."""
        self._view, self._lens = _matrices(parameters)
        self._light = {
            "lightDirection": np.add(
                c.LIGHT_DIRECTION, parameters.light_offset
            ).tolist(),
            "lightColor": parameters.light_colour,
            "lightAmbientCoeff": parameters.light_ambient,
        }

    def picture(self) -> np.ndarray:
        """Returns uint8 [S, S, 3]."""
        _, _, pixels, _, _ = pybullet.getCameraImage(
            self._size,
            self._size,
            self._view,
            self._lens,
            **self._light,
            shadow=0,
            renderer=pybullet.ER_TINY_RENDERER,
            flags=pybullet.ER_NO_SEGMENTATION_MASK,
            physicsClientId=self._client,
        )
        shape = (self._size, self._size, 4)
        return np.asarray(pixels, dtype=np.uint8).reshape(shape)[..., :3].copy()
