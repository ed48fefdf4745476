"""ARX: arms for a table, two of them 0.6 m apart that face forward."""

from dataclasses import replace

from mivla.embodiments.body import Arm, Embodiment
from mivla.embodiments.robots.parts import SIX_JOINTS, parallel_gripper

_X5_ARM = Arm(
    side="left",
    model="arx_x5.xml",
    joints=SIX_JOINTS,
    position_base_mount=(0.0, 0.3, 0.0),
    yaw_base_mount=0.0,
    home=(-0.0031, 1.7572, 1.4881, -1.3017, 0.0, -0.0031),
    gripper=parallel_gripper(0.044),
)

X5 = Embodiment(
    name="x5",
    title="two ARX X5",
    arms=(_X5_ARM, replace(_X5_ARM, side="right", position_base_mount=(0.0, -0.3, 0.0))),
)
