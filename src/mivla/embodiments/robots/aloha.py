"""ALOHA: two ViperX-300 followers that face each other across a table.

The robot base lies between the two mounts, on their plane, and is seen as the person at the table
sees it: x away from them, y to their left. gym-aloha's and the published ALOHA 2 model's worlds
have x to the right and y away instead, and the mounts at (±0.469, 0.5, 0) and (±0.469, -0.019,
0.02): T_world_base is a quarter turn about z at the middle between those.

At home each tool is 0.32 m in front of its mount and 0.12 m above. The last joint turns it by a
quarter, so that tools have the axes that they have at home on every robot: x back, y left, z down.
"""

from dataclasses import replace

import numpy as np

from mivla.embodiments.body import Arm, Embodiment, FrameConvention, Gripper
from mivla.embodiments.robots.parts import X_APPROACH

_JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
_HALF_SPAN_M = 0.469

_INTERBOTIX = (
    FrameConvention("interbotix_gripper_link", (0.0, 0.0, 0.0), X_APPROACH, "x along the fingers"),
    FrameConvention(
        "interbotix_ee_gripper_link",
        (0.0, 0.0, 0.1072),
        X_APPROACH,
        "what the maker's software reports",
    ),
)


def _arms(model: str, home: tuple[float, ...], fingers: tuple[float, float]) -> tuple[Arm, Arm]:
    """Both arms. `home` lacks the last joint; `fingers` are their joints when shut and open."""
    shut, open_ = fingers
    left = Arm(
        side="left",
        model=model,
        joints=_JOINTS,
        position_base_mount=(0.0, _HALF_SPAN_M, 0.0),
        yaw_base_mount=-np.pi / 2,
        home=(*home, -np.pi / 2),
        gripper=Gripper(
            joints=("finger1", "finger2"),
            shut=(shut, shut),
            open=(open_, open_),
            stroke_m=2 * (open_ - shut),
        ),
    )
    right = replace(
        left,
        side="right",
        position_base_mount=(0.0, -_HALF_SPAN_M, 0.0),
        yaw_base_mount=np.pi / 2,
        home=(*home, np.pi / 2),
    )
    return left, right


ALOHA1 = Embodiment(
    name="aloha1",
    title="ALOHA, two ViperX-300, as in gym-aloha",
    arms=_arms("vx300s_aloha1.xml", (0.0, -0.0773, 0.4076, 0.0, 1.2405), (0.0224, 0.057)),
    frames=_INTERBOTIX,
)

ALOHA2 = Embodiment(
    name="aloha2",
    title="ALOHA 2, two ViperX-300 with its grippers",
    arms=_arms("vx300s_aloha2.xml", (0.0, -0.0687, 0.4248, 0.0, 1.2147), (0.0083, 0.041)),
    frames=_INTERBOTIX,
)
