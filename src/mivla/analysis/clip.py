"""A film of an episode: what the camera saw, beside it the robot that follows, below it why."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from mivla import MivlaError
from mivla.analysis.figure import Figure, held
from mivla.analysis.hands import COLOURS, bones, in_picture, keypoints, laid_over
from mivla.analysis.stage import FLOOR_SQUARE_M, Colour, Stage, clearest_elevation
from mivla.analysis.strip import REASONS, Strip, words
from mivla.embodiments import Embodiment, embodiment
from mivla.embodiments.layout import SIDES
from mivla.episodes import Camera, Episode, Labels, Motion
from mivla.retarget import Reason

HEIGHT = 480
"""Pixels of a film's pictures; the strip below adds a third."""

_HANDS_ELEVATION = float(np.radians(38.0))
_POSES_TO_FRAME = 24
"""Of a robot's way, so many poses decide where the camera stands."""
_WHITE = (255, 255, 255)

_Line = tuple[str, Colour]


class NothingToShow(MivlaError):
    """An episode without what the film is about."""


@dataclass(frozen=True)
class Followed:
    """What a robot does in an episode, by its own motion or by a label of it."""

    motion: Motion
    labels: Labels | None
    """Of the robot in a person's episode, of the person in a robot's; None where there are none."""

    @property
    def valid(self) -> Bool[np.ndarray, "t 2"]:
        """Where each side's label is valid; everywhere, where there is no label."""
        if self.labels is None:
            return np.ones((len(self.motion["joints"]), 2), dtype=bool)
        return self.labels.reason == Reason.VALID


def followed(episode: Episode, robot: Embodiment) -> Followed:
    """What a robot does in an episode.

    Raises:
        NothingToShow: the episode has neither joints of the robot nor a label of it.
    """
    if episode.body == robot.name:
        return Followed(episode.state, episode.labels.get("human"))
    if robot.name not in episode.labels:
        raise NothingToShow(
            f"{episode.origin or 'the episode'} has no label for {robot.name}; it has "
            f"{', '.join(episode.labels) or 'none'}. `mivla retarget` makes them."
        )
    labels = episode.labels[robot.name]
    return Followed(labels.state, labels)


def default_robot(episode: Episode) -> Embodiment:
    """The robot that a film of this episode is about: its own body, or the first with a label.

    Raises:
        NothingToShow: a person's episode without labels.
    """
    own = embodiment(episode.body)
    if not own.is_human:
        return own
    for name in episode.labels:
        return embodiment(name)
    raise NothingToShow(
        f"{episode.origin or 'the episode'} has no labels of a robot; `mivla retarget` makes them."
    )


def side_by_side(
    episode: Episode,
    robot: Embodiment,
    path: Path,
    *,
    height: int = HEIGHT,
    on_step: Callable[[], None] = lambda: None,
) -> None:
    """Write a film of an episode, drawn without a screen.

    Left is the head camera's picture with the hands in it; where there is no camera, the hands
    themselves over a floor of squares of 10 cm. Right is the robot, with the hands laid over it by
    the label's registration, seen from behind as the person sees their own hands. Below are the
    validity of each side, the openings and the joints.

    The robot moves by its label in a person's episode and by its own joints in its own. Where a
    side is not valid, its arm stands still in the colour of the reason, which the caption names; a
    hand that is seen nevertheless is drawn faintly.

    Raises:
        NothingToShow: the episode has neither joints of the robot nor a label of it.
    """
    from mivla.episodes.video import write_video

    what = followed(episode, robot)
    rate_hz = episode.rate_hz if len(episode) > 1 else 10.0
    height -= height % 2

    def pictures() -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        with ExitStack() as stack:
            panes = [_robot(episode, robot, what, height, stack)]
            if (left := _left(episode, what, height, stack)) is not None:
                panes.insert(0, left)
            strip = None
            for step, several in enumerate(zip(*panes, strict=True)):
                row = np.concatenate(several, axis=1)
                if strip is None:
                    reason = None if what.labels is None else what.labels.reason
                    strip = Strip(
                        row.shape[1], height // 6 * 2, episode.clock_s, robot, what.motion, reason
                    )
                yield np.concatenate([row, strip.draw(step)], axis=0)
                on_step()

    write_video(path, pictures(), rate_hz=rate_hz, quality=23)


def _robot(
    episode: Episode, robot: Embodiment, what: Followed, height: int, stack: ExitStack
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The robot, and the hands that it follows or that follow it."""
    joints = held(what.motion, robot)
    hands = None if what.labels is None else laid_over(episode, what.labels)
    shown = joints[:: -(-len(joints) // _POSES_TO_FRAME)]
    figure = Figure(robot)
    points = [figure.extent(shown)]
    if hands is not None:
        points.append(hands[what.valid].reshape(-1, 3))
    elevation = clearest_elevation(figure, shown)
    stage = _stage(np.concatenate(points), height, elevation, stack, robot)
    for step in range(len(episode)):
        at = None if hands is None else hands[step]
        rgb = stage.draw(joints[step], at, _tints(what.labels, step))
        yield _captioned(rgb, robot.title, _reasons(what.labels, step))


def _left(
    episode: Episode, what: Followed, height: int, stack: ExitStack
) -> Iterator[UInt8[np.ndarray, "h w 3"]] | None:
    """What the camera saw, or else the hands; None where there is neither."""
    camera = episode.cameras.get("head") or next(iter(episode.cameras.values()), None)
    if camera is not None:
        return _film(episode, camera, what, height)
    hands = keypoints(episode)
    if hands is None or not np.isfinite(hands).all(axis=-1).any():
        return None
    return _hands(episode, hands, what, height, stack)


def _film(
    episode: Episode, camera: Camera, what: Followed, height: int
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The camera's pictures with the hands in them."""
    from mivla.episodes.video import resized

    width = max(2, round(camera.frames.width * height / camera.frames.height / 2) * 2)
    points = keypoints(episode)
    if episode.body != "human" and what.labels is not None:
        # The camera of a robot stands in the robot's base.
        points = laid_over(episode, what.labels)
    pixels = None if points is None else in_picture(camera, points)
    zoom = np.array([width / camera.frames.width, height / camera.frames.height])
    for step, rgb in enumerate(resized(camera.frames, height, width)):
        if pixels is not None:
            rgb = _with_hands(rgb, pixels[step] * zoom)
        yield _captioned(rgb, episode.instruction, _confidences(episode, step))


def _hands(
    episode: Episode,
    points: Float[np.ndarray, "t 2 21 3"],
    what: Followed,
    height: int,
    stack: ExitStack,
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The hands in space, in the heading frame, where nobody filmed them."""
    # A tracker that slips for a moment shall not push the camera away.
    finite = points[np.isfinite(points).all(axis=-1)]
    low, high = np.percentile(finite, [1, 99], axis=0)
    near = ((finite >= low - 0.05) & (finite <= high + 0.05)).all(axis=-1)
    stage = _stage(finite[near], height, _HANDS_ELEVATION, stack)
    for step in range(len(episode)):
        rgb = stage.draw(None, points[step])
        scale = (f"no camera: from behind, squares of {100 * FLOOR_SQUARE_M:.0f} cm", _WHITE)
        yield _captioned(rgb, episode.instruction, (*_confidences(episode, step), scale))


def _stage(
    points: np.ndarray,
    size: int,
    elevation: float,
    stack: ExitStack,
    robot: Embodiment | None = None,
) -> Stage:
    points = points[np.isfinite(points).all(axis=-1)]
    body = embodiment("human") if robot is None else robot
    stage = Stage(points, width=size, height=size, elevation=elevation, robot=body)
    return stack.enter_context(stage)


def _with_hands(
    rgb: UInt8[np.ndarray, "h w 3"], pixels: Float[np.ndarray, "2 21 2"]
) -> UInt8[np.ndarray, "h w 3"]:
    from PIL import Image, ImageDraw

    image = Image.fromarray(rgb)
    draw = ImageDraw.Draw(image)
    width = max(2, rgb.shape[0] // 160)
    for hand, side in zip(pixels, SIDES, strict=True):
        # Coordinates that are far off the picture are more than the drawing can count.
        hand = np.where(np.abs(hand) < 1e5, hand, np.nan)
        lines = [[*map(tuple, ends.tolist())] for ends in bones(hand[None])[0]]
        for line in lines:
            draw.line(line, fill=(20, 20, 20), width=width + 2)
        for line in lines:
            draw.line(line, fill=COLOURS[side], width=width)
        for u, v in hand[np.isfinite(hand).all(axis=-1)]:
            box = [u - width, v - width, u + width, v + width]
            draw.ellipse(box, fill=COLOURS[side], outline=(20, 20, 20))
    return np.asarray(image)


def _captioned(
    rgb: UInt8[np.ndarray, "h w 3"], title: str, lines: Sequence[_Line]
) -> UInt8[np.ndarray, "h w 3"]:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(rgb)
    draw = ImageDraw.Draw(image)
    size = max(10, rgb.shape[0] // 24)
    font = ImageFont.load_default(size=size)
    margin = size // 2
    titles = _wrapped(title, lambda text: draw.textlength(text, font) + 2 * margin < rgb.shape[1])
    for row, (text, colour) in enumerate([*((t, _WHITE) for t in titles), *lines]):
        at = (margin, margin + row * size * 1.2)
        draw.text(at, text, fill=colour, font=font, stroke_width=2, stroke_fill=(0, 0, 0))
    return np.asarray(image)


def _wrapped(text: str, fits: Callable[[str], bool], most: int = 2) -> list[str]:
    """Lines of whole words that fit, the last one cut where there would be more than `most`."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if fits(longer) or not lines[-1]:
            lines[-1] = longer
        elif len(lines) < most:
            lines.append(word)
        else:
            lines[-1] += " …"
            break
    if not fits(lines[-1]):
        kept = lines[-1].removesuffix(" …")
        while kept and not fits(f"{kept} …"):
            kept = kept[:-1]
        lines[-1] = f"{kept} …"
    return lines


def _confidences(episode: Episode, step: int) -> tuple[_Line, ...]:
    if episode.confidence is None:
        return ()
    return tuple(
        (f"{side} hand: tracked {episode.confidence[step, i]:.0%}", COLOURS[side])
        for i, side in enumerate(SIDES)
        if np.isfinite(episode.confidence[step, i])
    )


def _tints(labels: Labels | None, step: int) -> tuple[Colour | None, Colour | None]:
    """The colours of what keeps each side's arm from following; None where it follows."""
    if labels is None:
        return None, None
    left, right = (
        None if value <= Reason.VALID else REASONS[Reason(value)]
        for value in labels.reason[step].tolist()
    )
    return left, right


def _reasons(labels: Labels | None, step: int) -> tuple[_Line, ...]:
    if labels is None:
        return ()
    preset = labels.mapping.get("preset")
    says: list[_Line] = [] if preset is None else [(f"rules: {preset}", _WHITE)]
    for i, side in enumerate(SIDES):
        value = int(labels.reason[step, i])
        if value >= 0:
            says.append((f"{side}: {words(Reason(value))}", REASONS[Reason(value)]))
    return tuple(says)
