"""What several robots have in common."""

from mivla.embodiments.body import Gripper

SIX_JOINTS = ("joint1", "joint2", "joint3", "joint4", "joint5", "joint6")


def parallel_gripper(travel_m: float) -> Gripper:
    """Two fingers that each travel `travel_m` outwards from where the pads meet."""
    return Gripper(
        joints=("finger1", "finger2"),
        shut=(0.0, 0.0),
        open=(travel_m, travel_m),
        stroke_m=2 * travel_m,
    )
