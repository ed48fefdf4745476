"""What the presets make of the same recordings: reach, paths, smoothness and grippers.

    python scripts/compare_rules.py FOLDER [--each]

The folder holds hot3d_sample, aria_mps, vitra_sample and video; three people of the simulator are
added. Printed are tables in Markdown. Every recording counts alike, and in it every step at which
`default` sees a hand. What was filmed without knowing where down is begins with the home's
rotation, whatever the preset (`default` then is `video`).

    kept       steps that an arm follows, of those with a hand; `from home` if every tool began
               with its home's rotation
    apart      distance of the followed point from that of `default`, both from their first step
    acc.       acceleration of the followed point
    turn       how fast the followed frame turns
    gripper    steps at which it is shut or open (below or above a half) as with `default`
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mivla.embodiments import PANDA, PIPER, X5, Embodiment
from mivla.embodiments.layout import SIDES, Side
from mivla.episodes import Episode
from mivla.episodes.record import UNLEVELLED
from mivla.geometry import se3, so3
from mivla.retarget import PRESETS, Reason, Rules, opening_of, retarget
from mivla.retarget.mapping import tracked
from mivla.simulation.environment import Environment
from mivla.simulation.recording import demonstrate
from mivla.sources import format_of, source

ROBOTS: tuple[Embodiment, ...] = (X5, PIPER, PANDA)
SAMPLES = {
    "HOT3D": "hot3d_sample",
    "VITRA": "vitra_sample",
    "Aria": "aria_mps/hand_tracking_results_v2.csv",
    "film": "video/dexretargeting_right_hand_gestures.mp4",
}
FROM_HOME = " from home"
TASKS = ("move_pillbottle_pad", "click_bell", "grab_roller")


def recordings(folder: Path) -> Iterator[tuple[str, list[Episode]]]:
    """Every recording by name, in the episodes that its source makes of it."""
    for name, place in SAMPLES.items():
        path = folder / place
        yield name, list(source(format_of(path)).episodes(path))
    people = []
    for task in TASKS:
        with Environment(task, "human") as environment:
            people.append(demonstrate(environment, seed=0, pictures=False))
    yield "simulated", people


@dataclass(frozen=True)
class Followed:
    """What a tool is to follow of one hand; NaN where nothing is known."""

    T: np.ndarray
    opening: np.ndarray


def followed(episode: Episode, side: Side, rules: Rules) -> Followed:
    """The frame at the anchor, and the opening."""
    track, anchor = tracked(episode, side, rules)
    T = track.T.copy()
    T[:, :3, 3] = se3.transform(track.T, anchor)
    return Followed(T, opening_of(track.width, episode.clock_s, rules))


def compared(episodes: list[Episode], rules: Rules) -> dict[str, float]:
    """One preset's figures on one recording; NaN where a figure means nothing."""
    apart, acceleration, turn, agrees = [], [], [], []
    reasons: dict[str, list[np.ndarray]] = {
        f"{robot.name}{start}": [] for robot in ROBOTS for start in ("", FROM_HOME)
    }
    for episode in episodes:
        here, default = (levelled(r, episode) for r in (rules, PRESETS["default"]))
        from_home = replace(rules, start_rotation="home")
        for column, side in enumerate(SIDES):
            ours, theirs = followed(episode, side, default), followed(episode, side, here)
            seen = known(ours.T)
            apart.append(distances(theirs.T, ours.T))
            acceleration.append(accelerations(theirs.T, episode.clock_s))
            if not rules.positions_only:
                turn.append(turns(theirs.T, episode.clock_s))
            both = np.isfinite(ours.opening) & np.isfinite(theirs.opening)
            agrees.append((ours.opening < 0.5)[both] == (theirs.opening < 0.5)[both])
            for robot in ROBOTS:
                for start, these in (("", here), (FROM_HOME, from_home)):
                    reason = retarget(episode, robot, these).reason
                    reasons[f"{robot.name}{start}"].append(reason[seen, column])
    figures = {
        "apart median": quantile(apart, 0.5) * 1e3,
        "apart 95 %": quantile(apart, 0.95) * 1e3,
        "acc. mean": mean(acceleration),
        "acc. 95 %": quantile(acceleration, 0.95),
        "turn 95 %": quantile(turn, 0.95),
        "gripper": mean(agrees) * 100,
    }
    for name, of_robot in reasons.items():
        reason = np.concatenate(of_robot)
        for one in Reason:
            figures[f"{name} {one.name.lower()}"] = 100 * float(np.mean(reason == one))
    return figures


def levelled(rules: Rules, episode: Episode) -> Rules:
    """The rules for a recording that may not know where down is."""
    return replace(rules, start_rotation="home") if episode.quality in UNLEVELLED else rules


def known(T: np.ndarray) -> np.ndarray:
    """Steps at which there is a pose."""
    return np.asarray(np.isfinite(T).all(axis=(1, 2)))


def distances(T: np.ndarray, of_default: np.ndarray) -> np.ndarray:
    """Between two followed points, each from where it was when both were first seen, metres."""
    both = known(T) & known(of_default)
    p, q = T[both, :3, 3], of_default[both, :3, 3]
    return np.linalg.norm((p - p[:1]) - (q - q[:1]), axis=-1)


def accelerations(T: np.ndarray, clock_s: np.ndarray) -> np.ndarray:
    """Of the followed point where three steps in a row are known, m/s²."""
    velocity = np.diff(T[:, :3, 3], axis=0) / np.diff(clock_s)[:, None]
    middle = 0.5 * (clock_s[2:] - clock_s[:-2])
    values = np.linalg.norm(np.diff(velocity, axis=0) / middle[:, None], axis=-1)
    return values[np.isfinite(values)]


def turns(T: np.ndarray, clock_s: np.ndarray) -> np.ndarray:
    """How fast the followed frame turns where two steps in a row are known, rad/s."""
    both = known(T)[1:] & known(T)[:-1]
    angle = so3.angle_between(T[1:][both, :3, :3], T[:-1][both, :3, :3])
    return angle / np.diff(clock_s)[both]


def mean(values: list[np.ndarray]) -> float:
    """NaN of nothing."""
    together = np.concatenate(values) if values else np.zeros(0)
    return float(together.mean()) if len(together) else float("nan")


def quantile(values: list[np.ndarray], q: float) -> float:
    """NaN of nothing."""
    together = np.concatenate(values) if values else np.zeros(0)
    return float(np.quantile(together, q)) if len(together) else float("nan")


Figures = dict[str, float]


def table(title: str, rows: dict[str, list[str]], head: list[str]) -> None:
    """One table in Markdown."""
    print(f"\n{title}\n\n| {' | '.join(['', *head])} |")
    print("|" + "---|" * (len(head) + 1))
    for name, cells in rows.items():
        print(f"| {' | '.join([name, *cells])} |")


def cell(value: float, digits: int = 0) -> str:
    """A number, or a dash for none."""
    return "–" if np.isnan(value) else f"{value:.{digits}f}"


def of_rules(figures: Figures) -> list[str]:
    """The cells that do not depend on a robot."""
    return [
        f"{cell(figures['apart median'])} / {cell(figures['apart 95 %'])}",
        f"{cell(figures['acc. mean'], 1)} / {cell(figures['acc. 95 %'], 1)}",
        cell(figures["turn 95 %"], 1),
        cell(figures["gripper"]),
    ]


def of_robots(figures: Figures) -> str:
    """Steps kept on every robot, in one cell."""
    return " / ".join(cell(figures[f"{robot.name} valid"]) for robot in ROBOTS)


def of_home(figures: Figures) -> str:
    """The same if every tool began with its home's rotation."""
    return " / ".join(cell(figures[f"{robot.name}{FROM_HOME} valid"]) for robot in ROBOTS)


def lost(figures: Figures) -> str:
    """Why steps are lost, mean over robots."""
    shares = {
        one: np.mean([figures[f"{r.name} {one.name.lower()}"] for r in ROBOTS]) for one in Reason
    }
    return ", ".join(
        f"{one.name.lower().replace('_', ' ')} {share:.0f}"
        for one, share in shares.items()
        if one != Reason.VALID and share >= 0.5
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Compare the presets on recordings.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", action="store_true", help="a table for every recording as well")
    arguments = parser.parse_args()
    found: dict[str, dict[str, Figures]] = {}
    for name, episodes in recordings(arguments.folder):
        found[name] = {preset: compared(episodes, rules) for preset, rules in PRESETS.items()}
    head = ["apart, mm", "acc., m/s²", "turn, rad/s", "gripper, %"]
    together = {
        preset: {
            key: float(np.nanmean([found[name][preset][key] for name in found]))
            if np.isfinite([found[name][preset][key] for name in found]).any()
            else float("nan")
            for key in found["HOT3D"][preset]
        }
        for preset in PRESETS
    }
    table("Mean over recordings", {p: of_rules(f) for p, f in together.items()}, head)
    table(
        f"Kept, % on {' / '.join(robot.name for robot in ROBOTS)}",
        {
            preset: [
                *(of_robots(found[name][preset]) for name in found),
                of_home(together[preset]),
                lost(together[preset]),
            ]
            for preset in PRESETS
        },
        [*found, "mean, all from home", "lost, mean"],
    )
    if arguments.each:
        for name, by_preset in found.items():
            table(name, {p: of_rules(f) for p, f in by_preset.items()}, head)


if __name__ == "__main__":
    main()
