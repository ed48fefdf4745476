"""AgileX: PiPer arms 0.6 m apart that face forward, and the Cobot Magic as RoboTwin has it.

A PiPer's zero depends on its firmware: joints 2 and 3 of one before S-V1.6-3 are 2 degrees off
those of a later one, 10 mm at the flange. Each is a robot of its own here; nothing in a recording
of joints tells which it is.
"""

from dataclasses import replace

from mivla.embodiments.body import Arm, Embodiment, FrameConvention
from mivla.embodiments.robots.parts import (
    ROBOTWIN,
    SAME,
    SIX_JOINTS,
    parallel_gripper,
    side_by_side,
)

_PIPER_SDK = FrameConvention("piper_sdk", (0.0, 0.0, 0.0), SAME, "end pose of the maker's SDK")

PIPER = Embodiment(
    name="piper",
    title="two AgileX PiPer",
    # Joint 5 ends at 1.22 rad: at this height the gripper leans 4 degrees forward, so that the
    # home pose keeps 0.07 rad to the limit.
    arms=side_by_side(
        Arm(
            side="left",
            model="piper.xml",
            joints=SIX_JOINTS,
            position_base_mount=(0.0, 0.0, 0.0),
            yaw_base_mount=0.0,
            home=(0.0, 1.6521, -1.2158, 0.0, 1.15, 0.0),
            gripper=parallel_gripper(0.035),
        )
    ),
    frames=(_PIPER_SDK,),
)

PIPER_OLD_ZERO = Embodiment(
    name="piper_old_zero",
    title="two AgileX PiPer with firmware before S-V1.6-3, as in RoboTwin",
    # The tool is where that of the other zero is: from lower down it sweeps over what stands about.
    arms=side_by_side(
        Arm(
            side="left",
            model="piper_old_zero.xml",
            joints=SIX_JOINTS,
            position_base_mount=(0.0, 0.0, 0.0),
            yaw_base_mount=0.0,
            home=(-0.0047, 1.6875, -1.2481, 0.0004, 1.1469, -0.0048),
            gripper=parallel_gripper(0.035),
        )
    ),
    frames=(_PIPER_SDK, *ROBOTWIN),
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
    frames=ROBOTWIN,
)
"""Poses are in the footprint frame: on the floor, below the middle of the body."""
