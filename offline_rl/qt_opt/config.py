"""QT-Opt's settings."""

from __future__ import annotations

import dataclasses

from thresher.episodes.errors import UserError, unknown_name

NETWORKS = ("projected", "article")


@dataclasses.dataclass(frozen=True)
class QtOptConfig:
    """Settings of QT-Opt. 'Article' is Kalashnikov et al. 2018, arXiv 1806.10293.

    Attributes:
      network: 'projected' reads image features where the gripper would be, through a
        known camera, and learns from thousands of grasps; 'article' knows no camera
        and needs far more.
      discount: gamma per step. The article's 0.9: it makes dawdling cost something;
        0.97 led to time-outs in our trials.
      n_step: Steps summed before bootstrapping; None for the whole episode, which
        makes the targets Monte-Carlo returns. With short episodes and clean outcomes
        these learn far faster than one-step targets (arXiv 1802.10264).
      learning_rate: Adam's first rate, falling to 0 along a cosine.
      averaging: Decay of the averaged weights, which act and are the first target
        network. The article's 0.9999 is for millions of steps, this for thousands.
      lag_steps: Steps between copies from the averaged to the second target network
        (article: 6,000 of millions).
      target_samples: CEM samples per iteration in the targets; fewer than for acting,
        since every training step pays for a whole batch of searches.
      target_elites: Elites of those.
      act_samples: CEM samples per iteration for acting (article: 64).
      act_elites: Elites of those (article: 6).
      act_iterations: CEM iterations for acting: one more than in the targets, since
        it is paid once per step of the robot.
      shift_pixels: Largest random shift of a training image, in pixels each way.
      brightness: Largest relative change of a training image's brightness.
      mirror: Mirror half of the training examples left to right, where the world says
        how: the other half of the data for nothing.
      colour_order: Exchange red, green and blue of training images at random: what is
        graspable is a matter of shape, and thousands of grasps show few colours.
      filters: Channels of the image tower's last maps.
      hidden_units: Width of the head.
      grid_points: Points read along each side of the square around the gripper
        ('projected').
      grid_spacing_m: Distance between them, in metres ('projected').
    """

    network: str = "projected"
    discount: float = 0.9
    n_step: int | None = None
    learning_rate: float = 1e-3
    averaging: float = 0.995
    lag_steps: int = 100
    target_samples: int = 16
    target_elites: int = 4
    target_iterations: int = 2
    act_samples: int = 64
    act_elites: int = 6
    act_iterations: int = 3
    shift_pixels: int = 2
    brightness: float = 0.2
    mirror: bool = True
    colour_order: bool = True
    filters: int = 48
    hidden_units: int = 128
    grid_points: int = 3
    grid_spacing_m: float = 0.03

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise unknown_name("network", self.network, NETWORKS)
        if not 0 < self.discount <= 1:
            raise UserError(f"discount must be in (0, 1], not {self.discount}")
        if self.n_step is not None and self.n_step < 1:
            raise UserError(
                f"n_step must be at least 1, or None for the whole episode, not "
                f"{self.n_step}"
            )
        for kind in ("target", "act"):
            samples = getattr(self, f"{kind}_samples")
            elites = getattr(self, f"{kind}_elites")
            if not 1 <= elites <= samples:
                raise UserError(
                    f"{kind}_elites must be from 1 to {kind}_samples = {samples}, not "
                    f"{elites}"
                )
