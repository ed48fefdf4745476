"""Universal Robots: two UR5e, each with a Robotiq 2F-85, side by side.

0.6 m between them, as between our other arms, is an assumption.
"""

import numpy as np

from mivla.embodiments.body import Arm, Embodiment, FrameConvention
from mivla.embodiments.robots.parts import parallel_gripper, side_by_side

# The tool is 0.5 m in front of its mount and 0.25 m above the mount's plane, as a Panda's. The
# first joint brings it there: the wrist stands 0.13 m to the right of the upper arm.
_ARM = Arm(
    side="left",
    model="ur5e_2f85.xml",
    joints=("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3"),
    position_base_mount=(0.0, 0.0, 0.0),
    yaw_base_mount=0.0,
    home=(-0.2699, -1.5739, 1.7848, -1.7817, -np.pi / 2, -0.2699),
    # The gripper's own sensor tells its driver's angle, 0 open to 0.8 rad shut; see docs/robots.md.
    gripper=parallel_gripper(0.0427),
)

UR5E = Embodiment(
    name="ur5e",
    title="two UR5e with Robotiq 2F-85",
    arms=side_by_side(_ARM),
    frames=(
        FrameConvention("ur_tool0", (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, -1.0), "the maker's tool0"),
    ),
)
