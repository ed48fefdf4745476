"""A person and a robot that move a little, for the tests of films and recordings."""

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from mivla.embodiments import Embodiment
from mivla.embodiments.hand import hand_part, template, wrist_from_grip
from mivla.embodiments.layout import JOINTS, SIDES
from mivla.episodes import ArrayFrames, Camera, Episode
from mivla.geometry import se3
from mivla.geometry.camera import Pinhole
from mivla.retarget import Rules, home_grip, retarget

STEPS = 12


def person(camera: bool = True, turn: float = 0.4) -> Episode:
    """Hands palm down that move forwards, turn about a slanted axis and pinch."""
    share = np.linspace(0, 1, STEPS)
    points = []
    for side in SIDES:
        outward = 1.0 if side == "left" else -1.0
        R = Rotation.from_rotvec(turn * share[:, None] * np.array([0.3, 0.5, 0.8 * outward]))
        T_home = home_grip(side)
        p = T_home[:3, 3] + share[:, None] * [0.05, 0.02, 0.03]
        T_grip = se3.pose(R.as_matrix() @ T_home[:3, :3], p)
        T_wrist = wrist_from_grip(T_grip, side)
        points.append(se3.transform(T_wrist[:, None], template(0.09 - 0.06 * share, side)))
    landmarks = np.concatenate([p.reshape(STEPS, 63) for p in points], axis=-1)
    state = {"hand": hand_part(*points), "landmarks": landmarks}
    action = {n: np.concatenate([v[1:], np.full_like(v[:1], np.nan)]) for n, v in state.items()}
    return Episode(
        "human",
        "put the grey cup on the shelf",
        np.arange(STEPS) / 30,
        state,
        action,
        {"head": _head()} if camera else {},
        confidence=np.full((STEPS, 2), 0.9),
        origin="made up",
    )


def _head() -> Camera:
    """Looks forwards and down, from where the person's head is."""
    R = np.array([[0.0, -0.6, 0.8], [-1.0, 0.0, 0.0], [0.0, -0.8, -0.6]])
    T_base_cam = np.repeat(se3.pose(R, np.zeros(3))[None], STEPS, axis=0)
    frames = ArrayFrames(np.full((STEPS, 96, 128, 3), 90, dtype=np.uint8))
    return Camera(frames, Pinhole.from_vertical_fov(1.0, 128, 96), T_base_cam)


def robot_episode(body: Embodiment) -> Episode:
    """Both arms swing their first joint, and the grippers shut."""
    joints = np.full((STEPS, JOINTS.dim), np.nan)
    share = np.linspace(0, 1, STEPS)
    for arm in body.arms:
        part = joints[:, JOINTS[f"joints/{arm.side}"]]
        part[:, : arm.dof] = arm.home
        part[:, 0] += 0.2 * share
        part[:, -1] = 1 - share
    return Episode(body.name, "shut", np.arange(STEPS) / 10, {"joints": joints}, {"joints": joints})


def labelled(episode: Episode, to: Embodiment, rules: Rules) -> Episode:
    return replace(episode, labels={**episode.labels, to.name: retarget(episode, to, rules)})
