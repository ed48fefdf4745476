"""Models with meshes: posed, searched for chains of hinges, their visible surfaces read."""

# MuJoCo is compiled and has no type stubs.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float, Int

from mivla.embodiments import Arm
from mivla.geometry import se3, so3

WITHIN_M = 1.5e-3
"""Links of one arm may be so far apart in two models: more than rounding to a millimetre does."""
WITHIN_RAD = 0.01
"""And so much turned."""

HINGE = mujoco.mjtJoint.mjJNT_HINGE.value

_LAST_SHOWN_GROUP = 2
_SHARP = 0.5
"""Cosine between a face and its normal at a corner, below which the face takes its own."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles of one colour."""

    vertices: Float[np.ndarray, "n 3"]
    """In the frame of what carries it, metres; those at an edge are there once for each side."""
    normals: Float[np.ndarray, "n 3"]
    """At the vertices, of length 1, outwards."""
    triangles: Int[np.ndarray, "m 3"]
    """Numbers of vertices, anticlockwise as seen from outside."""
    rgba: Float[np.ndarray, "4"]


class Posed:
    """A model that can be posed, and its bodies."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self.data = mujoco.MjData(model)
        self.move({})

    def move(self, values: Mapping[int, float]) -> None:
        """All joints at 0, but these (by number)."""
        self.data.qpos[:] = 0
        for kind, first in zip(self.model.jnt_type, self.model.jnt_qposadr, strict=True):
            if kind == mujoco.mjtJoint.mjJNT_FREE.value:
                self.data.qpos[first + 3] = 1
            elif kind == mujoco.mjtJoint.mjJNT_BALL.value:
                self.data.qpos[first] = 1
        for joint, value in values.items():
            self.data.qpos[self.model.jnt_qposadr[joint]] = value
        mujoco.mj_kinematics(self.model, self.data)

    def pose(self, body: int) -> np.ndarray:
        """T_world_body."""
        return se3.pose(self.data.xmat[body].reshape(3, 3), self.data.xpos[body].copy())

    def line(self, joint: int) -> tuple[np.ndarray, np.ndarray]:
        """Direction of a joint's axis and a point on it, in the world."""
        return self.data.xaxis[joint].copy(), self.data.xanchor[joint].copy()

    def body_of(self, joint: int) -> int:
        """What the joint moves."""
        return int(self.model.jnt_bodyid[joint])

    def above(self, body: int) -> list[int]:
        """The body and what carries it, up to the world, which is left out."""
        out = []
        while body != 0:
            out.append(body)
            body = int(self.model.body_parentid[body])
        return out

    def rigid(self, body: int) -> set[int]:
        """The body and what is fixed to it from there on."""
        weld = self.model.body_weldid
        return {
            b for b in range(1, self.model.nbody) if weld[b] == weld[body] and body in self.above(b)
        }

    def carriers(self, hinge: int) -> set[int]:
        """What is rigid to the base of a chain: its mount, and what the mount stands on."""
        mount = int(self.model.body_parentid[self.body_of(hinge)])
        weld = self.model.body_weldid
        return self.rigid(mount) | {b for b in self.above(mount) if weld[b] == weld[mount]}

    def chains(self, length: int) -> Iterator[tuple[int, ...]]:
        """Every way down the tree on which so many hinges follow each other."""
        model = self.model
        for joint in range(model.njnt):
            way: list[int] = []
            for body in self.above(self.body_of(joint)):
                first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
                way += [first + k for k in reversed(range(count))]
                if len(way) >= length:
                    break
            way = way[:length]
            if len(way) == length and all(model.jnt_type[j] == HINGE for j in way):
                yield tuple(reversed(way))

    def surfaces(self, poses: Mapping[int, np.ndarray]) -> tuple[Surface, ...]:
        """Meshes of bodies, by their poses in a frame: one surface of each colour."""
        model = self.model
        colours: dict[tuple[float, ...], list[_Mesh]] = {}
        for geom in range(model.ngeom):
            body = int(model.geom_bodyid[geom])
            if body in poses and is_shown(model, geom):
                own = se3.pose(
                    so3.matrix_from_quaternion(model.geom_quat[geom]), model.geom_pos[geom]
                )
                mesh = _mesh(model, int(model.geom_dataid[geom]), poses[body] @ own)
                colours.setdefault(_colour(model, geom), []).append(mesh)
        return tuple(_joined(several, rgba) for rgba, several in colours.items())


@dataclass(frozen=True, eq=False)
class Match:
    """A chain of theirs that is our arm."""

    arm: Arm
    ours: Posed
    theirs: Posed
    hinges: tuple[int, ...]
    T_mount: np.ndarray
    """T_mount_world: the world of the meshed model, with all joints at zero, in our mount."""
    zero: np.ndarray
    off_m: float

    @property
    def T_base(self) -> np.ndarray:  # noqa: N802
        """T_base_world: the same in our robot's base."""
        yaw = np.array([0.0, 0.0, self.arm.yaw_base_mount])
        position = np.array(self.arm.position_base_mount)
        return se3.pose(so3.matrix_from_rotvec(yaw), position) @ self.T_mount

    def pose_both(self, q: np.ndarray) -> None:
        """Both models with our joints at q."""
        self.ours.move(at_values(joints_of(self.arm, self.ours), q))
        self.theirs.move(at_values(self.hinges, q + self.zero))


def joints_of(arm: Arm, ours: Posed) -> list[int]:
    """Numbers of an arm's joints in our model of it."""
    return [ours.model.joint(name).id for name in arm.joints]


def at_values(joints: Sequence[int], values: np.ndarray) -> dict[int, float]:
    """Values by joint, as `Posed.move` takes them."""
    return dict(zip(joints, values.tolist(), strict=True))


def is_shown(model: mujoco.MjModel, geom: int) -> bool:
    """Whether a geom is a mesh that viewers show; those that only collide are in other groups."""
    return bool(
        model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH
        and model.geom_group[geom] <= _LAST_SHOWN_GROUP
        and _colour(model, geom)[3] > 0
    )


def _colour(model: mujoco.MjModel, geom: int) -> tuple[float, ...]:
    material = int(model.geom_matid[geom])
    rgba = model.geom_rgba[geom] if material < 0 else model.mat_rgba[material]
    if material >= 0:
        # A picture on a mesh is shown by its mean colour.
        texture = int(model.mat_texid[material, mujoco.mjtTextureRole.mjTEXROLE_RGB.value])
        if texture >= 0 and model.tex_type[texture] == mujoco.mjtTexture.mjTEXTURE_2D:
            start, channels = int(model.tex_adr[texture]), int(model.tex_nchannel[texture])
            count = int(model.tex_height[texture] * model.tex_width[texture])
            pixels = model.tex_data[start : start + count * channels].reshape(count, channels)
            rgba = rgba * [*(pixels[:, :3].mean(axis=0) / 255), 1.0]
    return tuple(float(value) for value in rgba)


_Mesh = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Vertices, normals and triangles."""


def _mesh(model: mujoco.MjModel, mesh: int, T: np.ndarray) -> _Mesh:
    """A mesh of a model, laid by T."""
    vertices, shared, faces = (
        slice(int(first), int(first) + int(count))
        for first, count in (
            (model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]),
            (model.mesh_normaladr[mesh], model.mesh_normalnum[mesh]),
            (model.mesh_faceadr[mesh], model.mesh_facenum[mesh]),
        )
    )
    points = se3.transform(T, model.mesh_vert[vertices].astype(float))
    triangles = model.mesh_face[faces].astype(np.int64)
    smooth = model.mesh_normal[shared].astype(float) @ T[:3, :3].T
    corners = model.mesh_facenormal[faces].astype(np.int64)
    # A vertex that faces at a sharp edge share has one normal, which suits none of them.
    a, b, c = np.moveaxis(points[triangles], 1, 0)
    flat = so3.normalise(np.cross(b - a, c - a))
    sharp = np.einsum("mki,mi->mk", smooth[corners], flat) < _SHARP
    normals = np.concatenate([smooth, flat])
    corners = np.where(sharp, len(smooth) + np.arange(len(triangles))[:, None], corners)
    both, triangles = np.unique(triangles * len(normals) + corners, return_inverse=True)
    vertex, normal = np.divmod(both, len(normals))
    return points[vertex], normals[normal], triangles.reshape(-1, 3).astype(np.int64)


def _joined(several: Sequence[_Mesh], rgba: tuple[float, ...]) -> Surface:
    vertices, normals, triangles = zip(*several, strict=True)
    before = np.cumsum([0, *map(len, vertices[:-1])])
    triangles = [numbers + so_far for numbers, so_far in zip(triangles, before, strict=True)]
    return Surface(
        np.concatenate(vertices), np.concatenate(normals), np.concatenate(triangles), np.array(rgba)
    )
