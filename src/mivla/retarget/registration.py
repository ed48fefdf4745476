"""How a hand and a tool are laid over each other, with every choice written down.

    human → robot:  p_tool = σ R^h p_anchor + t      R_tool = R^h R_G D H
    robot → human:  p_anchor = R^hᵀ (p_tool − t) / σ  R_G = R^hᵀ R_tool Hᵀ Dᵀ

G is the grip frame, D the constant rotation at the start, and H either the identity or half a turn
about the tool's approach, chosen once per run of valid steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Bool, Float
from numba import njit

from mivla.embodiments.layout import SIDES
from mivla.geometry import se3, so3

HALF_TURN = np.diag([-1.0, -1.0, 1.0])
"""Half a turn about z, the approach: a parallel gripper looks the same."""


@dataclass(frozen=True)
class SideRegistration:
    """One side's similarity from the human heading frame to the robot base, and its turns."""

    scale: float
    yaw: float
    translation: Float[np.ndarray, "3"]
    """t, metres, in the robot base."""
    anchor: Float[np.ndarray, "3"]
    """The anchor in the grip frame, metres."""
    D: Float[np.ndarray, "3 3"]
    half_turns: tuple[tuple[int, int], ...] = ()
    """Runs of steps (start, stop) that are turned by half a turn."""
    filled: tuple[tuple[int, int], ...] = ()
    """Runs of steps (start, stop) that were missing and are interpolated."""

    @property
    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """R^h, the rotation from the heading frame to the robot base."""
        return so3.matrix_from_rotvec(np.array([0, 0, self.yaw]))

    def turned(self, steps: int) -> Bool[np.ndarray, " t"]:
        """Which of so many steps are turned by half a turn."""
        return _flags(self.half_turns, steps)

    def tool_from_grip(
        self, T_base_grip: Float[np.ndarray, "t 4 4"], turned: Bool[np.ndarray, " t"]
    ) -> Float[np.ndarray, "t 4 4"]:
        """Tool poses in the robot base, of grip poses in the heading frame."""
        T_base_tool = np.zeros((len(T_base_grip), 4, 4))
        _tools(
            T_base_grip,
            turned,
            self.anchor,
            self.scale,
            self.rotation,
            self.translation,
            self.D,
            T_base_tool,
        )
        return T_base_tool

    def grip_from_tool(
        self, T_base_tool: Float[np.ndarray, "t 4 4"], turned: Bool[np.ndarray, " t"]
    ) -> Float[np.ndarray, "t 4 4"]:
        """The inverse of `tool_from_grip`."""
        R = T_base_tool[:, :3, :3]
        R = np.where(turned[:, None, None], R @ HALF_TURN, R)
        return self.place(self.rotation.T @ R @ self.D.T, T_base_tool[:, :3, 3])

    def place(
        self, R_grip: Float[np.ndarray, "t 3 3"], p_tool: Float[np.ndarray, "t 3"]
    ) -> Float[np.ndarray, "t 4 4"]:
        """Grip poses of given rotation whose anchor lies where the tool is."""
        p_anchor = (p_tool - self.translation) @ self.rotation / self.scale
        return se3.pose(R_grip, p_anchor - R_grip @ self.anchor)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists; float64 comes back as it was."""
        return {
            "scale": self.scale,
            "yaw": self.yaw,
            "translation": self.translation.tolist(),
            "anchor": self.anchor.tolist(),
            "D": self.D.tolist(),
            "half_turns": [list(run) for run in self.half_turns],
            "filled": [list(run) for run in self.filled],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SideRegistration":
        """The inverse of `to_json`."""
        return cls(
            scale=float(data["scale"]),
            yaw=float(data["yaw"]),
            translation=np.array(data["translation"], dtype=float),
            anchor=np.array(data["anchor"], dtype=float),
            D=np.array(data["D"], dtype=float),
            half_turns=tuple((int(a), int(b)) for a, b in data["half_turns"]),
            filled=tuple((int(a), int(b)) for a, b in data["filled"]),
        )


@dataclass(frozen=True)
class Registration:
    """Both sides; None for a side of which no step is valid."""

    left: SideRegistration | None
    right: SideRegistration | None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists, by side."""
        return {
            side: None if registered is None else registered.to_json()
            for side in SIDES
            for registered in [getattr(self, side)]
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Registration":
        """The inverse of `to_json`; takes the whole of `Labels.mapping` as well."""
        sides = data.get("registration", data)
        return cls(
            *(None if sides[s] is None else SideRegistration.from_json(sides[s]) for s in SIDES)
        )


def runs(mask: Bool[np.ndarray, " t"]) -> tuple[tuple[int, int], ...]:
    """The unbroken stretches (start, stop) of a mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2))


def choose_half_turns(
    R: Float[np.ndarray, "t 3 3"],
    R_home: Float[np.ndarray, "3 3"],
    valid: Bool[np.ndarray, " t"],
    D: Float[np.ndarray, "3 3"] = np.eye(3),  # noqa: B008
) -> tuple[tuple[int, int], ...]:
    """Runs of valid steps whose R D comes nearer to home, over the whole run, when half turned."""
    # The trace of R_homeᵀ R D falls with the angle between the two. Half a turn about z changes
    # the sign of the first two of its three terms.
    weights = R_home[:, :2] @ D[:, :2].T
    terms = np.einsum("tij,ij->t", R, weights)
    return tuple((a, b) for a, b in runs(valid) if terms[a:b].sum() < 0)


@njit(cache=True, error_model="numpy")
@no_type_check
def _tools(T_grip, turned, anchor, scale, R_h, translation, D, T_tool):
    """Write R_h R D H and scale R_h p_anchor + translation for every grip pose (R, p)."""
    left = np.empty((3, 3))
    for t in range(len(T_grip)):
        sign = -1.0 if turned[t] else 1.0
        T = T_grip[t]
        for r in range(3):
            a, b, c = R_h[r]
            for k in range(3):
                left[r, k] = a * T[0, k] + b * T[1, k] + c * T[2, k]
            at = a * T[0, 3] + b * T[1, 3] + c * T[2, 3]
            a, b, c = left[r]
            T_tool[t, r, 0] = sign * (a * D[0, 0] + b * D[1, 0] + c * D[2, 0])
            T_tool[t, r, 1] = sign * (a * D[0, 1] + b * D[1, 1] + c * D[2, 1])
            T_tool[t, r, 2] = a * D[0, 2] + b * D[1, 2] + c * D[2, 2]
            at += a * anchor[0] + b * anchor[1] + c * anchor[2]
            T_tool[t, r, 3] = scale * at + translation[r]
        T_tool[t, 3, 3] = 1


def _flags(stretches: tuple[tuple[int, int], ...], steps: int) -> np.ndarray:
    flags = np.zeros(steps, dtype=bool)
    for start, stop in stretches:
        flags[start:stop] = True
    return flags
