"""The grasping world's numbers, each with its reason. SI units throughout.

Opening, pads, finger force, frictions and mass are those of the public KUKA grasping
environment that ships with Bullet, so that grasps mean the same in both.
"""

from __future__ import annotations

# Raised whenever the same seed would give other images or outcomes.
REVISION = 2

# Physics. Coarser than Bullet's habit of 240 Hz and 50 iterations; grasp success of
# the same actions agrees, at a third of the time.
PHYSICS_STEP = 1 / 120
SOLVER_ITERATIONS = 20
SOLVER_RESIDUAL = 1e-5
GRAVITY = -9.81

# Tray: wide enough that the open gripper, at any yaw and anywhere in its workspace,
# stays clear of the walls.
TRAY_HALF_WIDTH = 0.175
WALL_HEIGHT = 0.05
WALL_THICKNESS = 0.01

# Gripper: two boxes that slide towards each other below a palm.
OPENING = 0.107
PAD_WIDTH = 0.025
FINGER_THICKNESS = 0.008
FINGER_LENGTH = 0.06
PALM_HEIGHT = 0.02
FINGER_FORCE = 12.0
FINGER_MASS = 0.1
FINGER_FRICTION = 0.8
FINGER_SPINNING_FRICTION = 0.1
# Rubber gives way and holds on about a centimetre; a rigid box touches in a point,
# about which everything would turn.
FINGER_ROLLING_FRICTION = 0.01
CARRIAGE_FORCE = 200.0
# Share of a position error that motors make up for in one physics step.
POSITION_GAIN = 0.8

# Objects.
OBJECT_MASS = 0.1
OBJECT_FRICTION = 1.0
TRAY_FRICTION = 1.0

# Motion. Nine centimetres to cover in a few steps of four, so an episode of twelve
# steps has room to correct an aim and to dawdle.
STEP_SECONDS = 0.1
MAX_STEPS = 12
ACTION_SCALE = (0.04, 0.04, 0.05, 0.5)
WORKSPACE_LOW = (-0.1, -0.1, 0.004)
WORKSPACE_HIGH = (0.1, 0.1, 0.2)
START_HEIGHT = 0.16
MAX_YAW = 1.5708

# Commands are cut to these: what one step of the action's scale needs.
MAX_SPEED = tuple(scale / STEP_SECONDS for scale in ACTION_SCALE[:3])
MAX_YAW_RATE = ACTION_SCALE[3] / STEP_SECONDS

# Grasp: close, lift, hold. The lift is as short as still tells held from pushed.
CLOSE_SECONDS = 0.15
LIFT_SECONDS = 0.2
HOLD_SECONDS = 0.05
CLOSE_SPEED = 0.5
LIFT_HEIGHT = 0.12
# An object counts as held if it rose by half the lift.
HELD_RISE = 0.06
# Pads closer than this have nothing between them.
CLOSED_ON_NOTHING = 0.002

# The labeller without privileged state: let go, wait until what was held has fallen
# from the lift's height, bring the fingers back as far as they were.
LET_GO_SECONDS = 0.3
FINGERS_BACK_SECONDS = 0.15

# Settling: from a loose heap in the air to rest.
SETTLE_STEPS = 218
DROP_HALF_WIDTH = 0.07
DROP_HEIGHT = 0.06
DROP_SPACING = 0.05

# Camera: over the shoulder, objects filling most of the picture.
CAMERA_EYE = (0.0, -0.36, 0.40)
CAMERA_TARGET = (0.0, -0.005, 0.0)
CAMERA_FIELD_OF_VIEW = 38.0
LIGHT_DIRECTION = (0.3, -0.6, 1.0)
LIGHT_AMBIENT = 0.6
