"""Franka: two Panda arms with their hands, side by side. The maker sells no such pair.

0.6 m between them, as between our other arms, is an assumption.
"""

import numpy as np

from mivla.embodiments.body import Arm, Embodiment, FrameConvention
from mivla.embodiments.robots.parts import parallel_gripper, side_by_side

# The tool is 0.5 m in front of its mount and 0.25 m above the mount's plane: nearer or lower, the
# fourth joint comes close to its end. Here it keeps 0.74 rad.
_ARM = Arm(
    side="left",
    model="panda.xml",
    joints=("joint1", "joint2", "joint3", "joint4", "joint5", "joint6", "joint7"),
    position_base_mount=(0.0, 0.0, 0.0),
    yaw_base_mount=0.0,
    home=(0.0, -0.0418, 0.0, -2.3343, 0.0, 2.2925, np.pi / 4),
    gripper=parallel_gripper(0.04),
)

_HALF_TURN = (0.0, 0.0, 0.0, 1.0)

PANDA = Embodiment(
    name="panda",
    title="two Franka Emika Panda with hands",
    arms=side_by_side(_ARM),
    frames=(
        FrameConvention("franka_hand", (0.0, 0.0, 0.0), _HALF_TURN, "the maker's panda_hand"),
        FrameConvention("franka_hand_tcp", (0.0, 0.0, 0.1034), _HALF_TURN, "panda_hand_tcp"),
    ),
)
