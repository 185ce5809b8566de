"""What an episode in the grasping world holds."""

from __future__ import annotations

from thresher.envs.grasping import constants as c
from thresher.episodes.errors import UserError
from thresher.episodes.spec import EpisodeSpec, FeatureSpec

IMAGE_SIZES = (48, 64, 96)
_PARTS = ("dx", "dy", "dz", "dyaw", "close")
_ACTION_DOC = (
    "in units of ({:g} m, {:g} m, {:g} m, {:g} rad); close above 0 closes the "
    "fingers, lifts and ends the episode.".format(*c.ACTION_SCALE)
)


def grasping_spec(image_size: int = 64) -> EpisodeSpec:
    """Returns the spec for pictures of a size.

    Raises:
      UserError: A size that is not offered.
    """
    if image_size not in IMAGE_SIZES:
        raise UserError(f"image size {image_size}: choose one of {IMAGE_SIZES}")
    low, high = c.WORKSPACE_LOW, c.WORKSPACE_HIGH
    return EpisodeSpec(
        name="bin_grasping",
        step_seconds=c.STEP_SECONDS,
        features=(
            FeatureSpec(
                "observation/image",
                (image_size, image_size, 3),
                "uint8",
                "RGB from the camera over the gripper's shoulder.",
                encoding="png",
            ),
            FeatureSpec(
                "observation/gripper_planar_pose",
                (3,),
                "float32",
                "Place and yaw of the gripper; yaw turns anticlockwise from above.",
                unit="m, m, rad",
                frame="world: origin in the middle of the tray's floor, z up",
                labels=("x", "y", "yaw"),
            ),
            FeatureSpec(
                "observation/gripper_height",
                (1,),
                "float32",
                f"Height of the fingertips above the tray's floor, about {low[2]} to "
                f"{high[2]}.",
                unit="m",
            ),
            FeatureSpec(
                "observation/gripper_opening",
                (1,),
                "float32",
                "Distance between the finger pads.",
                unit="m",
            ),
            FeatureSpec(
                "observation/episode_fraction",
                (1,),
                "float32",
                "Steps taken by steps allowed.",
                minimum=0.0,
                maximum=1.0,
            ),
            FeatureSpec(
                "action",
                (5,),
                "float32",
                f"Executed motion, {_ACTION_DOC}",
                minimum=-1.0,
                maximum=1.0,
                labels=_PARTS,
            ),
            FeatureSpec(
                "commanded_action",
                (5,),
                "float32",
                f"What the policy asked for, {_ACTION_DOC}",
                labels=_PARTS,
            ),
        ),
    )
