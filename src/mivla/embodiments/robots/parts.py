"""What several robots have in common."""

from dataclasses import replace

from mivla.embodiments.body import Arm, FrameConvention, Gripper

SIX_JOINTS = ("joint1", "joint2", "joint3", "joint4", "joint5", "joint6")

APART_M = 0.6
"""Between two arms that are sold singly. Of RoboTwin for X5A and PiPer; assumed for the others."""

Quaternion = tuple[float, float, float, float]
SAME: Quaternion = (1.0, 0.0, 0.0, 0.0)
"""Axes of the `ee` site itself."""
X_APPROACH: Quaternion = (1.0, 0.0, -1.0, 0.0)
"""Axes of which x is the approach and y, as ours, the closing direction."""


def parallel_gripper(travel_m: float) -> Gripper:
    """Two fingers that each travel `travel_m` outwards from where the pads meet."""
    return Gripper(
        joints=("finger1", "finger2"),
        shut=(0.0, 0.0),
        open=(travel_m, travel_m),
        stroke_m=2 * travel_m,
    )


def side_by_side(left: Arm) -> tuple[Arm, Arm]:
    """The arm on both sides of the robot base, facing forward."""
    return (
        replace(left, position_base_mount=(0.0, APART_M / 2, 0.0)),
        replace(left, side="right", position_base_mount=(0.0, -APART_M / 2, 0.0)),
    )


ROBOTWIN = (
    FrameConvention(
        "robotwin_ee", (0.0, 0.0, 0.0), X_APPROACH, "`ee_poses` and `endpose` of its recordings"
    ),
    FrameConvention(
        "robotwin_tcp", (0.0, 0.0, 0.12), X_APPROACH, "`tcp_pose`: 0.12 m further, not at the pads"
    ),
)
"""What RoboTwin reports of arms whose `ee` is link 6 (not of a Panda or UR5).

Its axes come from the simulator's frame of the last joint and two matrices of its configuration;
for `aloha_agilex` they are those of link 6 in the recordings themselves.
"""
