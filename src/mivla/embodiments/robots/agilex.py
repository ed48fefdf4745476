"""AgileX: PiPer arms 0.6 m apart that face forward, and the Cobot Magic as RoboTwin has it."""

from dataclasses import replace

from mivla.embodiments.body import Arm, Embodiment
from mivla.embodiments.robots.parts import SIX_JOINTS, parallel_gripper

# Joint 5 ends at 1.22 rad: at this height the gripper leans 4 degrees forward, so that the home
# pose keeps 0.07 rad to the limit.
_PIPER_ARM = Arm(
    side="left",
    model="piper.xml",
    joints=SIX_JOINTS,
    position_base_mount=(0.0, 0.3, 0.0),
    yaw_base_mount=0.0,
    home=(0.0, 1.6521, -1.2158, 0.0, 1.15, 0.0),
    gripper=parallel_gripper(0.035),
)

PIPER = Embodiment(
    name="piper",
    title="two AgileX PiPer",
    arms=(_PIPER_ARM, replace(_PIPER_ARM, side="right", position_base_mount=(0.0, -0.3, 0.0))),
)

_ALOHA_AGILEX_ARM = Arm(
    side="left",
    model="aloha_agilex.xml",
    joints=SIX_JOINTS,
    position_base_mount=(0.2305, 0.297, 0.782),
    yaw_base_mount=0.02,
    home=(-0.0107, 1.7297, 1.5048, -1.3458, 0.0002, -0.0082),
    gripper=parallel_gripper(0.04765),
)

ALOHA_AGILEX = Embodiment(
    name="aloha_agilex",
    title="AgileX Cobot Magic, front arms, as in RoboTwin 2.0",
    arms=(
        _ALOHA_AGILEX_ARM,
        replace(
            _ALOHA_AGILEX_ARM,
            side="right",
            position_base_mount=(0.2315, -0.3063, 0.781),
            yaw_base_mount=0.01,
        ),
    ),
)
"""Poses are in the footprint frame: on the floor, below the middle of the body."""
