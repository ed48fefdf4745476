"""Meshes for looks: of the reference models where those are at hand, else made-up ones."""

# MuJoCo's bindings come without types.
# pyright: reportAttributeAccessIssue=false

import logging
import struct
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import mujoco
import numpy as np
import pytest
from moving import robot_episode
from scipy.spatial import cKDTree

from mivla.analysis import meshes
from mivla.analysis.figure import Figure, home
from mivla.analysis.mesh_fit import NotThisArm, fit
from mivla.analysis.meshes import MESHES_VARIABLE, NoMeshes, found, looks
from mivla.analysis.stage import Stage
from mivla.embodiments import (
    ALOHA1,
    ALOHA2,
    ALOHA_AGILEX,
    HUMAN,
    LOCOMAN,
    PANDA,
    PIPER,
    PIPER_OLD_ZERO,
    UR5E,
    X5,
    X5A,
    Embodiment,
)
from mivla.embodiments.layout import JOINTS, Side
from mivla.geometry import se3, so3

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "robots"
needs_folder = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no reference models in {FOLDER}")


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    monkeypatch.delenv(MESHES_VARIABLE, raising=False)
    meshes._looks.cache_clear()
    yield
    meshes._looks.cache_clear()


# ------------------------------------------------------------- against the reference models

LEG: dict[Side, str] = {"left": "2_FL", "right": "1_FR"}
_QUARTER = np.pi / 2


def turned(yaw: float, *position: float) -> np.ndarray:
    return se3.pose(so3.matrix_from_rotvec(np.array([0.0, 0.0, yaw])), np.array(position))


class Reference:
    """What we know of a reference model without looking at it by program."""

    def __init__(self, file: str, arm: str, first: str, fingers, T_base_world=None, zero=None):
        self.file = FOLDER / file
        self.arm, self.first, self.fingers = arm.split(), first, fingers
        self.T_base_world, self.zero = T_base_world, zero

    def named(self, name: str, side: Side) -> str:
        return name.format(side=side, leg=LEG[side])


SIX = " ".join(f"{{side}}/joint{i}" for i in range(1, 7))
VIPER = " ".join(
    f"{{side}}/{name}"
    for name in ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
)
LEGS = " ".join(
    f"{{leg}}_{name}"
    for name in ("hip_joint", "thigh_joint", "calf_joint", "joint_1", "joint_2", "joint_3")
)
UR = " ".join(
    f"{name}_joint"
    for name in ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
)
PIPER_FINGERS = {"{side}/gripper_joint1": (0, 0.035), "{side}/gripper_joint2": (0, -0.035)}
TWO_DEGREES = np.radians(2.0)

REFERENCES: dict[str, Reference] = {
    "x5": Reference(
        "arx_x5/dual_x5.xml",
        SIX,
        "{side}/base_link",
        {"{side}/joint7": (0, 0.044), "{side}/joint8": (0, 0.044)},
    ),
    "x5a": Reference(
        "arx_x5/dual_x5a.xml",
        SIX,
        "{side}/base_link",
        {"{side}/joint7": (0, 0.044), "{side}/joint8": (0, 0.044)},
    ),
    "piper": Reference("piper/dual_piper.xml", SIX, "{side}/base_link", PIPER_FINGERS),
    "piper_old_zero": Reference(
        "piper/dual_piper.xml",
        SIX,
        "{side}/base_link",
        PIPER_FINGERS,
        zero=np.array([0, -TWO_DEGREES, TWO_DEGREES, 0, 0, 0]),
    ),
    "aloha_agilex": Reference(
        "aloha_agilex/aloha_agilex.xml",
        SIX,
        "{side}/base_link",
        {"{side}/joint7": (0, 0.04765), "{side}/joint8": (0, 0.04765)},
    ),
    "aloha1": Reference(
        "aloha_vx300s/aloha_vx300s.xml",
        VIPER,
        "{side}/base_link",
        {"{side}/left_finger": (0.0224, 0.057), "{side}/right_finger": (-0.0224, -0.057)},
        se3.inverse(turned(_QUARTER, 0.0, 0.5, 0.0)),
    ),
    "aloha2": Reference(
        "aloha_vx300s/aloha2.xml",
        VIPER,
        "{side}/base_link",
        {"{side}/left_finger": (0.0083, 0.041), "{side}/right_finger": (0.0083, 0.041)},
        se3.inverse(turned(_QUARTER, 0.0, -0.019, 0.02)),
    ),
    "locoman": Reference("locoman/locoman.xml", LEGS, "{leg}_hip", {"{leg}_jaw_joint": (0, 0.5)}),
    "panda": Reference(
        "franka_panda/panda.xml",
        " ".join(f"joint{i}" for i in range(1, 8)),
        "link0",
        {"finger_joint1": (0, 0.04), "finger_joint2": (0, 0.04)},
    ),
    # Its linkage is checked by itself.
    "ur5e": Reference("ur5e_2f85/ur5e_2f85.xml", UR, "base_link", {}),
}
BODIES = [
    X5, X5A, PIPER, PIPER_OLD_ZERO, ALOHA_AGILEX, ALOHA1, ALOHA2, LOCOMAN, PANDA, UR5E
]  # fmt: skip
NAMES = [body.name for body in BODIES]


def below(model: mujoco.MjModel, root: int) -> list[int]:
    out = [root]
    for body in range(root + 1, model.nbody):
        if model.body_parentid[body] in out:
            out.append(body)
    return out


def vertices(model, data, bodies, T: np.ndarray) -> np.ndarray:
    """All vertices of visible meshes of some bodies, laid by T: by MuJoCo's own poses of geoms."""
    points = [np.zeros((0, 3))]
    for geom in range(model.ngeom):
        if (
            model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH
            and model.geom_group[geom] <= 2
            and model.geom_bodyid[geom] in bodies
        ):
            mesh = model.geom_dataid[geom]
            start = model.mesh_vertadr[mesh]
            own = model.mesh_vert[start : start + model.mesh_vertnum[mesh]].astype(float)
            R = data.geom_xmat[geom].reshape(3, 3)
            points.append(se3.transform(T, own @ R.T + data.geom_xpos[geom]))
    return np.concatenate(points)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """How far a point of either cloud is at most from the other cloud."""
    return float(max(cKDTree(a).query(b)[0].max(), cKDTree(b).query(a)[0].max()))


@needs_folder
@pytest.mark.parametrize("body", BODIES, ids=NAMES)
def test_every_link_of_every_robot_has_its_mesh(body: Embodiment, monkeypatch, caplog):
    monkeypatch.setenv(MESHES_VARIABLE, str(FOLDER))
    own = looks(body)
    assert own is not None
    assert not caplog.records
    assert own.off_m < 1e-3
    for arm, dressed in zip(body.arms, own.arms, strict=True):
        model = mujoco.MjModel.from_xml_string(arm.xml)
        moved = {model.body(model.jnt_bodyid[model.joint(n).id]).name for n in arm.joints}
        assert set(dressed.links) - {"mount"} == moved
        assert "mount" in dressed.links or own.base
        assert len(dressed.parts) >= len(arm.gripper.joints)
    assert bool(own.base) == (body in (ALOHA_AGILEX, LOCOMAN))
    figure = Figure(body)
    assert {shape.kind for shapes in figure.shapes for shape in shapes} == {"mesh"}


@needs_folder
@pytest.mark.parametrize("body", BODIES, ids=NAMES)
def test_meshes_stand_where_the_reference_model_has_them(body: Embodiment, monkeypatch):
    monkeypatch.setenv(MESHES_VARIABLE, str(FOLDER))
    figure = Figure(body)
    reference = REFERENCES[body.name]
    model = mujoco.MjModel.from_xml_path(str(reference.file))
    data = mujoco.MjData(model)
    data.qpos[:] = 0
    if body is LOCOMAN:
        data.qpos[3] = 1
    rng = np.random.default_rng(3)
    for share in (0.0, 0.37, 1.0):
        joints = home(body)
        for arm in body.arms:
            part = JOINTS[f"joints/{arm.side}"]
            q = share * np.array(arm.home)
            if share == 0.37:
                q = q + rng.uniform(-0.8, 0.8, arm.dof)
            joints[part][: arm.dof], joints[part][-1] = q, share
            figure.move(joints)
            q = q if reference.zero is None else q + reference.zero
            for name, value in zip(reference.arm, q, strict=True):
                data.joint(reference.named(name, arm.side)).qpos = value
            for name, (shut, open_) in reference.fingers.items():
                at = shut + share * (open_ - shut)
                data.joint(reference.named(name, arm.side)).qpos = at
            mujoco.mj_kinematics(model, data)
            T = reference.T_base_world
            if T is None:
                T = np.eye(4)
                if body in (PANDA, UR5E):
                    T[:3, 3] = arm.position_base_mount
            theirs = below(model, model.body(reference.named(reference.first, arm.side)).id)
            ours = [
                b
                for b in range(1, figure.model.nbody)
                if figure.model.body(b).name.startswith(f"{arm.side}/")
            ]
            if body is UR5E:
                gripper = model.body("base").id
                moving = [b for b in below(model, gripper) if model.body_weldid[b] >= gripper]
                theirs = [b for b in theirs if b == gripper or b not in moving]
                ours = [b for b in ours if "gripper_" not in figure.model.body(b).name]
            here = vertices(figure.model, figure.data, ours, np.eye(4))
            there = vertices(model, data, theirs, T)
            assert min(len(here), len(there)) > 1000
            # Two firmwares' descriptions of a PiPer differ by more than the zeros of joints.
            assert apart(here, there) < (3e-3 if body is PIPER_OLD_ZERO else 1e-3)


@needs_folder
def test_what_carries_both_arms_is_shown_once_and_does_not_push_the_camera_away(monkeypatch):
    plain = Figure(ALOHA_AGILEX).extent(home(ALOHA_AGILEX)[None])
    monkeypatch.setenv(MESHES_VARIABLE, str(FOLDER))
    figure = Figure(ALOHA_AGILEX)
    assert figure.links.count("base") == 1
    model = mujoco.MjModel.from_xml_path(str(REFERENCES["aloha_agilex"].file))
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    here = vertices(figure.model, figure.data, [figure.model.body("base").id], np.eye(4))
    there = vertices(model, data, [model.body("footprint").id], np.eye(4))
    assert apart(here, there) < 1e-3
    assert here[:, 2].min() < 0.05  # it stands on the floor
    assert figure.extent(home(ALOHA_AGILEX)[None])[:, 2].min() > plain[:, 2].min() - 0.1
    assert not set(figure.geoms_of("left")) & set(figure.geoms_of("right"))
    named = [figure.model.body(figure.model.geom_bodyid[g]).name for g in figure.geoms_of("left")]
    assert "base" not in named


@needs_folder
def test_a_linkage_closes_and_its_pads_meet(monkeypatch):
    monkeypatch.setenv(MESHES_VARIABLE, str(FOLDER))
    own = looks(UR5E)
    assert own is not None
    parts = {part.name: part for part in own.arms[0].parts}
    model = mujoco.MjModel.from_xml_path(str(REFERENCES["ur5e"].file))
    connected = [i for i in range(model.neq) if model.eq_type[i] == mujoco.mjtEq.mjEQ_CONNECT]
    assert len(connected) == 2
    for i in connected:
        ends = []
        for body, anchor in (
            (model.eq_obj1id[i], model.eq_data[i, :3]),
            (model.eq_obj2id[i], model.eq_data[i, 3:6]),
        ):
            ends.append(se3.transform(parts[model.body(body).name].T_last_part, anchor))
        assert np.linalg.norm(ends[0] - ends[1], axis=-1).max() < 1e-4
    # The pads' faces, across the approach: together when shut, the stroke apart when open.
    T_tool = np.linalg.inv(tool_in_last(UR5E))
    gaps = []
    for at in (0, -1):
        faces = []
        for name in ("left_follower", "right_follower"):
            T = T_tool @ parts[name].T_last_part[at]
            y = np.concatenate([se3.transform(T, s.vertices) for s in parts[name].surfaces])[:, 1]
            faces.append(y.min() if y.mean() > 0 else y.max())
        gaps.append(abs(faces[0] - faces[1]))
    assert gaps[0] < 3e-3
    assert gaps[1] == pytest.approx(UR5E.arms[0].gripper.stroke_m, abs=3e-3)


def tool_in_last(body: Embodiment) -> np.ndarray:
    arm = body.arms[0]
    model = mujoco.MjModel.from_xml_string(arm.xml)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    last = data.body(model.jnt_bodyid[model.joint(arm.joints[-1]).id])
    tool = data.site(arm.tcp)
    T = se3.pose(last.xmat.reshape(3, 3), last.xpos)
    return np.linalg.inv(T) @ se3.pose(tool.xmat.reshape(3, 3), tool.xpos)


@needs_folder
def test_arms_that_are_nearly_alike_are_told_apart():
    x5 = mujoco.MjModel.from_xml_path(str(FOLDER / "arx_x5/dual_x5.xml"))
    piper = mujoco.MjModel.from_xml_path(str(FOLDER / "piper/dual_piper.xml"))
    assert fit(X5, x5).off_m < 1e-5
    with pytest.raises(NotThisArm, match=r"up to 1\.7 mm .* another arm than arx_x5a"):
        fit(X5A, x5)
    with pytest.raises(NotThisArm, match=r"14\.0 mm .* another arm than piper_old_zero"):
        fit(PIPER_OLD_ZERO, piper)
    with pytest.raises(NotThisArm, match="no chain of 7 hinges"):
        fit(PANDA, x5)


# ------------------------------------------------------------------------------- made up


def block(path: Path, size: float = 0.03) -> None:
    """An STL of a slanted block."""
    corner = size * np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1.5)])
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = [t for a, b, c, d in faces for t in ((a, b, c), (a, c, d))]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = b"made up".ljust(80) + struct.pack("<I", len(triangles))
    for triangle in triangles:
        text += struct.pack("<12fH", 0, 0, 0, *corner[list(triangle)].reshape(-1), 0)
    path.write_bytes(text)


def made_up(body: Embodiment, file: Path, *, jaws: bool = True) -> None:
    """A meshed model of a robot: ours under other names, elsewhere and turned."""
    block(file.parent / "meshes" / "block.stl")
    spec = mujoco.MjSpec()
    for arm in body.arms:
        T = turned(0.7, 0.3, -2.0, 1.0) @ turned(arm.yaw_base_mount, *arm.position_base_mount)
        frame = spec.worldbody.add_frame(pos=T[:3, 3], quat=so3.quaternion_from_matrix(T[:3, :3]))
        own = mujoco.MjSpec.from_string(arm.xml)
        for link in own.bodies[1:]:
            for geom in list(link.geoms):
                own.delete(geom)
        for old in (*own.equalities, *own.actuators, *own.excludes):
            own.delete(old)
        if not jaws:
            for name in arm.gripper.joints:
                own.delete(own.joint(name).parent)
        for i, link in enumerate(own.bodies[1:]):
            link.add_geom(
                type=mujoco.mjtGeom.mjGEOM_MESH,
                meshname="block",
                rgba=(0.9, 0.1 * (i % 9), 0.2, 1),
                pos=(0.004 * i, 0.01, 0),
                contype=0,
                conaffinity=0,
            )
            link.name = f"{'gauche' if arm.side == 'left' else 'droite'}{i}"
        own.add_mesh(name="block", file=str(file.parent / "meshes" / "block.stl"))
        spec.attach(own, prefix=f"{arm.side[0]}_", frame=frame)
    file.write_text(spec.to_xml())


def test_meshes_of_a_folder_come_into_the_picture_and_into_the_figure(tmp_path, monkeypatch):
    made_up(X5, tmp_path / "x5" / "whatever.xml")
    joints = home(X5)
    points = Figure(X5).extent(joints[None])

    def drawn(tint=None) -> np.ndarray:
        with Stage(points, width=160, height=160, elevation=0.8, robot=X5) as stage:
            return stage.draw(joints, None, (None, tint)).astype(int)

    plain = drawn()
    monkeypatch.setenv(MESHES_VARIABLE, str(tmp_path))
    meshed = drawn()
    changed = np.asarray((np.abs(meshed - plain) > 30).any(axis=-1))
    assert changed.sum() > 300
    # The blocks are reddish, the floor and our shapes are grey.
    red = np.asarray(meshed[..., 0] - meshed[..., 2] > 60)
    assert red[:, :80].sum() > 100
    assert red[:, 80:].sum() > 100
    blue = drawn((40, 40, 250))
    assert (blue[:, :60] == meshed[:, :60]).all()
    assert ((blue - meshed)[..., 2] > 30).sum() > 100

    # A block is on every link where the made-up model has it, the gripper half open, too.
    joints[[7, 15]] = 0.5
    figure = Figure(X5)
    figure.move(joints)
    model = mujoco.MjModel.from_xml_path(str(tmp_path / "x5" / "whatever.xml"))
    data = mujoco.MjData(model)
    for arm in X5.arms:
        for name, value in zip(arm.joints, arm.home, strict=True):
            data.joint(f"{arm.side[0]}_{name}").qpos = value
        for name, value in zip(arm.gripper.joints, arm.gripper.open, strict=True):
            data.joint(f"{arm.side[0]}_{name}").qpos = value / 2
    mujoco.mj_kinematics(model, data)
    here = vertices(figure.model, figure.data, range(figure.model.nbody), np.eye(4))
    T_base_world = np.linalg.inv(turned(0.7, 0.3, -2.0, 1.0))
    there = vertices(model, data, range(model.nbody), T_base_world)
    assert apart(here, there) < 1e-5


def test_without_the_variable_nothing_is_looked_for(tmp_path, monkeypatch):
    made_up(X5, tmp_path / "x5" / "x5.xml")
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(meshes, "_looks", lambda *_: pytest.fail("looked"))
        assert looks(X5) is None
        kinds = {shape.kind for shapes in Figure(X5).shapes for shape in shapes}
    assert kinds == {"capsule", "cylinder", "box"}
    monkeypatch.setenv(MESHES_VARIABLE, str(tmp_path))
    assert looks(HUMAN) is None


def said(caplog) -> list[str]:
    assert {record.levelno for record in caplog.records} <= {logging.WARNING}
    return [record.getMessage() for record in caplog.records]


def test_a_folder_without_the_robot_is_said_once_and_shapes_stay(tmp_path, monkeypatch, caplog):
    made_up(X5, tmp_path / "x5" / "x5.xml")
    monkeypatch.setenv(MESHES_VARIABLE, f"{tmp_path}:{tmp_path / 'absent'}")
    for _ in range(3):
        assert Figure(PIPER).links == Figure(PIPER).links
    (message,) = said(caplog)
    assert "piper is drawn with simple shapes" in message
    assert f"{tmp_path} has neither piper/*.xml nor piper.xml" in message
    assert f"names {tmp_path / 'absent'}, which is no folder" in message
    assert {shape.kind for shapes in Figure(PIPER).shapes for shape in shapes} >= {"capsule"}
    # A user's robot is found by its name.
    own = replace(X5, name="mine")
    (tmp_path / "x5").rename(tmp_path / "mine")
    file = tmp_path / "mine" / "x5.xml"
    file.write_text(file.read_text().replace(str(tmp_path / "x5"), str(tmp_path / "mine")))
    assert found(own, str(tmp_path)).off_m < 1e-6
    # The second folder is looked into where the first has nothing.
    monkeypatch.setenv(MESHES_VARIABLE, f"{tmp_path / 'absent'}:{tmp_path}")
    assert looks(own) is not None


def test_a_broken_mesh_another_arm_and_a_model_without_meshes_are_told(tmp_path):
    made_up(X5, tmp_path / "x5.xml")
    assert found(X5, str(tmp_path)).off_m < 1e-6
    # Under a name of its own: MuJoCo remembers files that it has just read.
    whole = (tmp_path / "meshes" / "block.stl").read_bytes()
    (tmp_path / "meshes" / "broken.stl").write_bytes(whole[:200])
    text = (tmp_path / "x5.xml").read_text()
    (tmp_path / "x5.xml").write_text(text.replace("block.stl", "broken.stl"))
    with pytest.raises(NoMeshes, match=r"x5\.xml cannot be read: .*broken\.stl"):
        found(X5, str(tmp_path))
    made_up(X5A, tmp_path / "x5.xml")
    with pytest.raises(NoMeshes, match=r"x5\.xml: its links are up to .* another arm than arx_x5 "):
        found(X5, str(tmp_path))
    (tmp_path / "x5.xml").write_text(X5.arms[0].xml)
    with pytest.raises(NoMeshes, match=r"x5\.xml: it has no meshes"):
        found(X5, str(tmp_path))


def test_a_gripper_that_is_not_there_keeps_its_shapes(tmp_path, monkeypatch, caplog):
    made_up(X5, tmp_path / "x5.xml", jaws=False)
    monkeypatch.setenv(MESHES_VARIABLE, str(tmp_path))
    figure = Figure(X5)
    (message,) = said(caplog)
    assert "the gripper of x5 is drawn with simple shapes" in message
    kinds = {
        link: {shape.kind for shape in shapes}
        for link, shapes in zip(figure.links, figure.shapes, strict=True)
    }
    assert kinds["left/link6"] == {"mesh"}
    assert kinds["left/link7"] == kinds["right/link8"] == {"box"}


def test_too_many_triangles_are_refused(tmp_path, monkeypatch):
    made_up(X5, tmp_path / "x5.xml")
    monkeypatch.setattr(meshes, "MAX_TRIANGLES", 100)
    with pytest.raises(NoMeshes, match="has 216 triangles, and 100 can be drawn"):
        found(X5, str(tmp_path))


def test_the_package_is_asked_only_when_it_is_named(tmp_path, monkeypatch, caplog):
    made_up(PANDA, tmp_path / "panda.xml")
    module = ModuleType("robot_descriptions.panda_mj_description")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "robot_descriptions", ModuleType("robot_descriptions"))
    errors = ModuleType("git.exc")
    vars(errors)["GitError"] = type("GitError", (Exception,), {})
    monkeypatch.setitem(sys.modules, "git", ModuleType("git"))
    monkeypatch.setitem(sys.modules, "git.exc", errors)
    vars(module)["MJCF_PATH"] = str(tmp_path / "panda.xml")
    assert found(PANDA, "robot_descriptions").off_m < 1e-6
    with pytest.raises(NoMeshes, match="has no model of it"):
        found(X5, "robot_descriptions")

    def refused(name: str):
        raise vars(errors)["GitError"](f"no network for {name}\n")

    monkeypatch.setattr("importlib.import_module", refused)
    with pytest.raises(NoMeshes, match=r"panda_mj_description \(no network .*DESCRIPTIONS_CACHE"):
        found(PANDA, "robot_descriptions")
    monkeypatch.setenv(MESHES_VARIABLE, str(tmp_path))
    assert looks(PANDA) is not None

    monkeypatch.setitem(sys.modules, "git.exc", None)
    with pytest.raises(NoMeshes, match=r"not installed .*pip install mivla\[meshes\]"):
        found(PANDA, "robot_descriptions")
    assert not caplog.records


def test_the_viewer_gets_a_mesh_a_link(tmp_path, monkeypatch):
    pytest.importorskip("rerun.chunk", reason="the viewer is an extra")
    from test_timeline import recorded

    made_up(PIPER, tmp_path / "looks" / "piper.xml")
    monkeypatch.setenv(MESHES_VARIABLE, str(tmp_path / "looks"))
    made = recorded(robot_episode(PIPER), tmp_path)
    figure = Figure(PIPER)
    for link, shapes in zip(figure.links, figure.shapes, strict=True):
        path = f"/piper/links/{link}/mesh"
        (shape,) = shapes
        assert shape.mesh is not None
        positions = np.array(made.static[path, "Mesh3D:vertex_positions"])
        expected = se3.transform(shape.T_link_shape, shape.mesh.vertices)
        np.testing.assert_allclose(positions, expected, atol=1e-6)
        triangles = np.array(made.static[path, "Mesh3D:triangle_indices"])
        assert triangles.shape == (12, 3)
        # Its normals point outwards, as its triangles do.
        at_corner = np.array(made.static[path, "Mesh3D:vertex_normals"])[triangles[:, 0]]
        a, b, c = np.moveaxis(positions[triangles], 1, 0)
        own = np.cross(b - a, c - a)
        own /= np.linalg.norm(own, axis=1, keepdims=True)
        np.testing.assert_allclose(at_corner, own, atol=2e-3)
        assert (np.sum((a - positions.mean(axis=0)) * at_corner, axis=1) > 0).all()
        _, moved = made.column(f"/piper/links/{link}", "Transform3D:translation")
        assert len(moved) == len(robot_episode(PIPER))
