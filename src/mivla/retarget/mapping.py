"""The mutual mapping: episodes of a person become labels for a robot, and the other way round."""

import hashlib
import json
from dataclasses import replace
from functools import cache
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from mivla import MivlaError
from mivla.embodiments import Arm, Embodiment, embodiment, hand
from mivla.embodiments.layout import EEF, JOINTS, SIDES, Side
from mivla.episodes import Episode, Labels, Motion
from mivla.geometry import se3, so3
from mivla.kinematics import chain, forward, tool_poses
from mivla.retarget.joints import Followed, follow
from mivla.retarget.measured import measured_frame
from mivla.retarget.opening import opening_of
from mivla.retarget.registration import Registration, SideRegistration, choose_half_turns
from mivla.retarget.rules import PRESETS, Reason, Rules
from mivla.retarget.validity import Track, clean

VERSION = 1
"""Grows when the same rules no longer give the same labels."""

HAND_HOME = {"left": np.array([0.40, 0.15, -0.40]), "right": np.array([0.40, -0.15, -0.40])}
"""Where a pinch is at home in the heading frame: a forearm's length before and below the eyes."""

_FILLED_RELIABILITY = 0.5


class CannotMap(MivlaError):
    """There is no mapping between these bodies, or the episode lacks what it needs."""


def retarget(
    episode: Episode,
    to: Embodiment,
    rules: Rules,
    *,
    registration: Registration | None = None,
) -> Labels:
    """The motion that another body would make in this episode.

    A person's hands become a robot's tools and joints, a robot's tools become hands. With a
    `registration` (of labels that were made before) its similarity, start rotation and half-turns
    are used in place of the rules'; so a mapping is undone exactly.

    Raises:
        CannotMap: both bodies are persons or both are robots, or the episode has no motion in
            the part that is mapped, or it is of a robot and the rules lead one way.
    """
    own = embodiment(episode.body)
    if own.is_human == to.is_human:
        raise CannotMap(
            f"the mapping is between a person and a robot; this episode is of {own.name!r} and "
            f"the target is {to.name!r}."
        )
    if rules.one_way and not own.is_human:
        raise CannotMap(
            f"these rules make tools of hands and no hands of tools: {'; '.join(rules.one_way)}. "
            f"Give rules that can be undone, such as 'default'."
        )
    map_episode = _robot_from_human if own.is_human else _human_from_robot
    state, action, reliability, reason, used = map_episode(episode, to, rules, registration)
    mapping = {
        "from": episode.body,
        "to": to.name,
        "rules": rules.to_json(),
        "preset": next((name for name, r in PRESETS.items() if r == rules), "custom"),
        "registration": used.to_json(),
        "hash": mapping_hash(own, to, rules),
    }
    return Labels(state, action, reliability, reason, mapping)


def label(episode: Episode, to: Embodiment, rules: Rules) -> Episode:
    """The episode with the labels of another body beside its own motion."""
    return replace(episode, labels={**episode.labels, to.name: retarget(episode, to, rules)})


def with_tool_poses(episode: Episode) -> Episode:
    """The episode with tool poses and openings (`eef`) beside its own motion, in its own base.

    A robot's are those of its tcp, by forward kinematics of its joints; a person's are the grip
    frames of the hands, and what their pinch stands for. Parts that are missing stay missing.
    """
    body = embodiment(episode.body)

    def with_eef(motion: Motion) -> Motion:
        if body.own_part not in motion:
            return motion
        own = motion[body.own_part]
        return {**motion, "eef": _grips(own) if body.is_human else tool_poses(body, own)}

    return replace(episode, state=with_eef(episode.state), action=with_eef(episode.action))


def _grips(part: Float[np.ndarray, "t 48"]) -> Float[np.ndarray, "t 20"]:
    sides = []
    for side in SIDES:
        T_grip, pinch = hand.grip_and_pinch(part, side)
        opening = hand.opening_from_pinch(pinch)[:, None]
        sides.append(np.concatenate([se3.to_position_rot6d(T_grip), opening], axis=-1))
    return np.concatenate(sides, axis=-1)


def summary(labels: Labels) -> dict[Reason, int]:
    """How many steps, of both sides together, are valid, and why the others are not."""
    return {reason: int(np.sum(labels.reason == reason)) for reason in Reason}


@cache
def mapping_hash(own: Embodiment, to: Embodiment, rules: Rules) -> str:
    """Sixteen digits that change when the same episode of a body would get other labels.

    Of the two bodies one is a robot, and labels depend on its arms whichever way they are made.
    """
    robot = to if own.is_human else own
    made_of = {
        "version": VERSION,
        "rules": rules.to_json(),
        "arms": [
            [arm.xml, arm.home, arm.position_base_mount, arm.yaw_base_mount] for arm in robot.arms
        ],
        "hand": hand.template(np.array([hand.D_SHUT, hand.D_OPEN]), "right").tolist(),
        "grip": hand.T_WRIST_GRIP["right"].tolist(),
        "home": [HAND_HOME[side].tolist() for side in SIDES],
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def home_grip(side: Side) -> Float[np.ndarray, "4 4"]:
    """The grip pose, in the heading frame, of a hand held out palm down with fingers forward."""
    forward_, up = np.eye(3)[0], np.eye(3)[2]
    x = -forward_ if side == "right" else forward_
    R_wrist = np.stack([x, up, np.cross(x, up)], axis=-1)
    return se3.pose(R_wrist @ hand.T_WRIST_GRIP[side][:3, :3], HAND_HOME[side])


# ------------------------------------------------------------------------------ human to robot


def _robot_from_human(
    episode: Episode, to: Embodiment, rules: Rules, registration: Registration | None
) -> tuple[Motion, Motion, np.ndarray, np.ndarray, Registration]:
    steps = len(episode)
    # A row more than steps: a person is not commanded, and what holds next was wanted now.
    motion = {
        "joints": np.full((steps + 1, JOINTS.dim), np.nan),
        "eef": np.full((steps + 1, EEF.dim), np.nan),
    }
    reliability = np.zeros((steps, 2))
    reason = np.full((steps, 2), int(Reason.UNTRACKED), dtype=np.int64)
    used: dict[str, SideRegistration | None] = {}
    for column, side in enumerate(SIDES):
        confidence = None if episode.confidence is None else episode.confidence[:, column]
        track, anchor = tracked(episode, side, rules)
        arm = to.arm(side)
        T_home = _home_tool(arm)
        known = None if registration is None else getattr(registration, side)
        used[side] = known or _register(
            track.T, track.reason, T_home, anchor, rules, to_robot=True, filled=track.filled
        )
        registered = used[side]
        if registered is None:
            reason[:, column] = track.reason
            continue
        T_tool = registered.tool_from_grip(track.T, registered.turned(steps))
        if rules.positions_only:
            T_tool[track.reason == Reason.VALID, :3, :3] = T_home[:3, :3]
        followed = follow(arm, T_tool, track.reason, episode.clock_s, rules)
        opening = opening_of(track.width, episode.clock_s, rules)
        _write_valid(
            followed.reason,
            followed.q,
            followed.T_base_tool,
            opening,
            motion["joints"][:, JOINTS[f"joints/{side}"]],
            motion["eef"][:, EEF[f"eef/{side}"]],
        )
        reason[:, column] = followed.reason
        reliability[:, column] = _reliability(followed, confidence, track.filled)
    for values in motion.values():
        # State and action are the same memory, a row apart.
        values.flags.writeable = False
    state = {name: values[:-1] for name, values in motion.items()}
    action = {name: values[1:] for name, values in motion.items()}
    return state, action, reliability, reason, Registration(**used)


def tracked(episode: Episode, side: Side, rules: Rules) -> tuple[Track, Float[np.ndarray, "3"]]:
    """What of one of a person's hands a tool follows, over time, and the anchor in that frame.

    Raises:
        CannotMap: the episode has no hands.
    """
    part = _required(episode.state, "hand", episode)
    T_grip, pinch = hand.grip_and_pinch(part, side)
    if rules.rigid_anchor is None:
        T_grip = measured_frame(episode.state, T_grip, side, rules)
    if rules.gripper == "none":
        # Tips that nobody saw are no reason to lose the step.
        pinch = np.zeros(len(pinch))
    column = SIDES.index(side)
    confidence = None if episode.confidence is None else episode.confidence[:, column]
    track = clean(T_grip, pinch, confidence, episode.clock_s, rules)
    return track, _anchor(episode.state, T_grip, track, side, rules)


_VALID = int(Reason.VALID)


@njit(cache=True, error_model="numpy")
@no_type_check
def _write_valid(reason, q, T_tool, opening, joints, eef):
    """Write one side's joints, tool poses and openings where a step is valid."""
    for t in range(len(reason)):
        if reason[t] == _VALID:
            joints[t, : q.shape[1]] = q[t]
            joints[t, -1] = opening[t]
            for k in range(3):
                eef[t, k], eef[t, 3 + k], eef[t, 6 + k] = (
                    T_tool[t, k, 3],
                    T_tool[t, k, 0],
                    T_tool[t, k, 1],
                )
            eef[t, -1] = opening[t]


@cache
def _home_tool(arm: Arm) -> Float[np.ndarray, "4 4"]:
    return forward(chain(arm), np.array(arm.home))


def _anchor(
    state: Motion, T_grip: np.ndarray, track: Track, side: Side, rules: Rules
) -> Float[np.ndarray, "3"]:
    """The anchor in the frame that is followed: the person's own thumb knuckle where it is known.

    A thumb's base does not move against the wrist, so it is the median over the valid steps.
    """
    if rules.anchor == "thumb_knuckle" and "landmarks" in state:
        points = state["landmarks"].reshape(len(T_grip), 2, 21, 3)[:, SIDES.index(side)]
        knuckle = points[:, hand.THUMB_KNUCKLE].astype(float)
        in_grip = se3.transform(se3.inverse(T_grip), knuckle)
        in_grip = in_grip[(track.reason == Reason.VALID) & np.isfinite(in_grip).all(axis=-1)]
        if len(in_grip):
            return np.median(in_grip, axis=0)
    return _template_anchor(side, rules)


def _template_anchor(side: Side, rules: Rules) -> Float[np.ndarray, "3"]:
    """The anchor of a mean hand; a frame that is measured at every step lies in its anchor."""
    if rules.rigid_anchor is None:
        return np.zeros(3)
    return hand.anchor_offset(rules.rigid_anchor, side)


def _reliability(
    followed: Followed,
    confidence: Float[np.ndarray, " t"] | None,
    filled: tuple[tuple[int, int], ...],
) -> Float[np.ndarray, " t"]:
    """Confidence, times how well the tool is reached, halved where the hand is interpolated."""
    reached = 1 - 0.5 * followed.error
    reliability = reached
    if confidence is not None:
        reliability = reached * np.where(np.isfinite(confidence), confidence, 1)
    for start, stop in filled:
        # The tracker's own confidence in a step that it missed means nothing.
        reliability[start:stop] = _FILLED_RELIABILITY * reached[start:stop]
    return np.where(followed.reason == Reason.VALID, np.clip(reliability, 0, 1), 0.0)


# ------------------------------------------------------------------------------ robot to human


def _human_from_robot(
    episode: Episode, to: Embodiment, rules: Rules, registration: Registration | None
) -> tuple[Motion, Motion, np.ndarray, np.ndarray, Registration]:
    with_eef = with_tool_poses(episode)
    tools = {
        "state": _required(with_eef.state, "eef", episode).astype(float),
        "action": _required(with_eef.action, "eef", episode).astype(float),
    }
    steps = len(episode)
    points = {name: np.full((steps, 2, 21, 3), np.nan) for name in tools}
    wrists = {name: np.full((steps, 2, 4, 4), np.nan) for name in tools}
    reason = np.full((steps, 2), int(Reason.UNTRACKED), dtype=np.int64)
    used: dict[str, SideRegistration | None] = {}
    for column, side in enumerate(SIDES):
        T_tool, opening = _tool_and_opening(tools["state"], side)
        seen = np.isfinite(T_tool).all(axis=(-2, -1)) & np.isfinite(opening)
        reason[seen, column] = Reason.VALID
        known = None if registration is None else getattr(registration, side)
        used[side] = known or _register(
            T_tool,
            reason[:, column],
            home_grip(side),
            _template_anchor(side, rules),
            rules,
            to_robot=False,
        )
        registered = used[side]
        if registered is None:
            continue
        turned = registered.turned(steps)
        for name, values in tools.items():
            T_tool, opening = _tool_and_opening(values, side)
            if rules.positions_only:
                R_grip = np.broadcast_to(home_grip(side)[:3, :3], (steps, 3, 3))
                T_grip = registered.place(R_grip, T_tool[:, :3, 3])
            else:
                T_grip = registered.grip_from_tool(T_tool, turned)
            # A gripper may read a little less than shut or more than open; a hand then is at
            # the end of its own range.
            pinch = hand.pinch_from_opening(np.clip(opening, 0, 1), rules.d_shut, rules.d_open)
            wrists[name][:, column] = hand.wrist_from_grip(T_grip, side)
            points[name][:, column] = se3.transform(
                wrists[name][:, column][:, None], hand.template(pinch, side)
            )
    motions = {name: _hand_motion(wrists[name], points[name]) for name in tools}
    reliability = (reason == Reason.VALID).astype(float)
    return motions["state"], motions["action"], reliability, reason, Registration(**used)


def _tool_and_opening(
    eef: Float[np.ndarray, "t 20"], side: Side
) -> tuple[Float[np.ndarray, "t 4 4"], Float[np.ndarray, " t"]]:
    values = eef[:, EEF[f"eef/{side}"]]
    return se3.from_position_rot6d(values[:, :9]), values[:, 9]


def _hand_motion(
    T_wrist: Float[np.ndarray, "t 2 4 4"], points: Float[np.ndarray, "t 2 21 3"]
) -> Motion:
    # A step is a hand only when it is whole: pose without opening has no fingers.
    whole = np.asarray(
        np.isfinite(T_wrist).all(axis=(-2, -1)) & np.isfinite(points).all(axis=(-2, -1))
    )
    tips = points[:, :, hand.TIPS].reshape(len(points), 2, 15)
    part = np.concatenate([se3.to_position_rot6d(T_wrist), tips], axis=-1)
    part = np.where(whole[..., None], part, np.nan)
    points = np.where(whole[..., None, None], points, np.nan)
    return {"hand": part.reshape(len(points), 48), "landmarks": points.reshape(len(points), 126)}


# ------------------------------------------------------------------------------ both ways


def _register(
    T: Float[np.ndarray, "t 4 4"],
    reason: Int[np.ndarray, " t"],
    T_home: Float[np.ndarray, "4 4"],
    anchor: Float[np.ndarray, "3"],
    rules: Rules,
    *,
    to_robot: bool,
    filled: tuple[tuple[int, int], ...] = (),
) -> SideRegistration | None:
    """The similarity that the rules ask for: from hands T to a tool at home, or from tools T.

    None where no step is valid.
    """
    valid = reason == Reason.VALID
    if not valid.any():
        return None
    first = T[np.argmax(valid)]
    T_grip, T_tool = (first, T_home) if to_robot else (T_home, first)
    R_h = so3.matrix_from_rotvec(np.array([0.0, 0.0, rules.yaw]))
    D = np.eye(3)
    if rules.start_rotation == "home":
        D = (R_h @ T_grip[:3, :3]).T @ T_tool[:3, :3]
    t = np.array(rules.translation, dtype=float)
    if rules.start_position == "home":
        # At home a hand is where its pinch is; the anchor of a hand that comes is its own.
        p_anchor = se3.transform(T_grip, anchor)
        t = T_tool[:3, 3] - rules.scale * R_h @ p_anchor
    half_turns = ()
    if not rules.positions_only:
        R, R_home = T[:, :3, :3], T_home[:3, :3]
        if to_robot:
            half_turns = choose_half_turns(R, R_h.T @ R_home, valid, D)
        else:
            half_turns = choose_half_turns(R, R_h @ R_home @ D, valid)
    return SideRegistration(rules.scale, rules.yaw, t, anchor, D, half_turns, filled)


def _required(motion: Motion, part: str, episode: Episode) -> np.ndarray:
    if part not in motion:
        raise CannotMap(
            f"{episode.origin or 'the episode'} has no {part!r}; it has {', '.join(motion)}. "
            f"The mapping of a {episode.body} needs it."
        )
    return motion[part]
