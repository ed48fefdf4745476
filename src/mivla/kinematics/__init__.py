"""Batched forward kinematics, Jacobians and inverse kinematics, compiled per arm."""

from mivla.kinematics.bodies import joints_from_tool_poses, tool_poses
from mivla.kinematics.chain import Chain, NotASerialArm, chain, forward, jacobian, limits
from mivla.kinematics.inverse import BadTargets, Solution, solve, solve_cold, solve_stream
from mivla.kinematics.trajectory import solve_trajectory

__all__ = [
    "BadTargets",
    "Chain",
    "NotASerialArm",
    "Solution",
    "chain",
    "forward",
    "jacobian",
    "joints_from_tool_poses",
    "limits",
    "solve",
    "solve_cold",
    "solve_stream",
    "solve_trajectory",
    "tool_poses",
]
