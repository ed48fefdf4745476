"""LocoMan: a Unitree Go1 whose two front legs are arms, with a manipulator on each calf.

The robot base is the trunk (x to the head, y left, z up with the trunk level), which may move: what
stands or walks is not modelled, and poses are the trunk's. An arm is the leg (hip, thigh, calf)
and the three joints on its calf.

At home the leg is stretched forward and the gripper points down, 0.21 m in front of the hip and
0.38 m below it. Where the robot stands level, at 0.27 m, that is below the floor: to work over one,
the trunk is raised or leans back.
"""

from mivla.embodiments.body import Arm, Embodiment, FrameConvention, Gripper
from mivla.embodiments.layout import Side


def _arm(side: Side, y_m: float) -> Arm:
    return Arm(
        side=side,
        model=f"locoman_{side}.xml",
        joints=("hip", "thigh", "calf", "joint_1", "joint_2", "joint_3"),
        position_base_mount=(0.1881, y_m, 0.0),
        yaw_base_mount=0.0,
        home=(0.0, -0.15, -1.25, 1.4, 0.0, 0.0),
        # One jaw turns away from the other. The hinge is derived, so the stroke is approximate; the
        # motor itself counts the other way, to -0.5.
        gripper=Gripper(joints=("jaw",), shut=(0.0,), open=(0.5,), stroke_m=0.0238),
    )


LOCOMAN = Embodiment(
    name="locoman",
    title="LocoMan, a Go1 with manipulators on both front legs",
    arms=(_arm("left", 0.04675), _arm("right", -0.04675)),
    frames=(
        FrameConvention(
            "locoman_eef",
            (0.0, 0.0, 0.0),
            (0.0, 0.0, 1.0, 0.0),
            "the controller's end effector, which points along -z",
        ),
    ),
)
