"""ARX: X5 and X5A, two of them 0.6 m apart that face forward.

They differ by 3 mm and by their fingers; RoboTwin's `aloha_agilex` is a third arm again (see
`agilex`). At home the tool is 0.32 m in front of its mount and 0.12 m above the mount's plane.
"""

from mivla.embodiments.body import Arm, Embodiment, FrameConvention
from mivla.embodiments.robots.parts import (
    ROBOTWIN,
    SIX_JOINTS,
    X_APPROACH,
    parallel_gripper,
    side_by_side,
)

X5 = Embodiment(
    name="x5",
    title="two ARX X5",
    arms=side_by_side(
        Arm(
            side="left",
            model="arx_x5.xml",
            joints=SIX_JOINTS,
            position_base_mount=(0.0, 0.0, 0.0),
            yaw_base_mount=0.0,
            home=(-0.0031, 1.7572, 1.4881, -1.3017, 0.0, -0.0031),
            gripper=parallel_gripper(0.044),
        )
    ),
    frames=(
        FrameConvention("egoverse", (0.0, 0.0, 0.0), X_APPROACH, "link 6 of its `model_x5`"),
        FrameConvention("arx5_sdk", (0.0, 0.0, 0.145), X_APPROACH, "`eef_link` of the maker's SDK"),
    ),
)

X5A = Embodiment(
    name="x5a",
    title="two ARX X5A, as in RoboTwin",
    arms=side_by_side(
        Arm(
            side="left",
            model="arx_x5a.xml",
            joints=SIX_JOINTS,
            position_base_mount=(0.0, 0.0, 0.0),
            yaw_base_mount=0.0,
            home=(0.0016, 1.7564, 1.5488, -1.3632, 0.0, 0.0016),
            gripper=parallel_gripper(0.044),
        )
    ),
    frames=ROBOTWIN,
)
