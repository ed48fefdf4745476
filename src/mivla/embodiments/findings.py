"""What is wrong with a robot, in words."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or looks wrong, and what to do about it."""

    level: Level
    """An error keeps the robot from being used; a warning does not."""
    where: str
    """`left`, `right`, `both arms`, or empty for the whole robot."""
    what: str
    """What was found, a sentence."""
    todo: str
    """What to do, a sentence."""

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"{where}{self.what} {self.todo}"


class Unusable(Exception):
    """Ends an examination: without what is missing, the rest cannot be told."""


@dataclass
class Report:
    """Findings as they are made."""

    findings: list[Finding] = field(default_factory=list)
    where: str = ""
    """What is being looked at: `left`, `right`, or the whole robot."""

    def error(self, what: str, todo: str) -> None:
        """Something keeps the robot from being used."""
        self.findings.append(Finding("error", self.where, what, todo))

    def warn(self, what: str, todo: str) -> None:
        """Something looks wrong."""
        self.findings.append(Finding("warning", self.where, what, todo))

    def stop(self, what: str, todo: str) -> Unusable:
        """An error after which nothing more can be told, to be raised."""
        self.error(what, todo)
        return Unusable()

    @property
    def has_errors(self) -> bool:
        """Whether there are errors where it is being looked."""
        return any(one.level == "error" and one.where == self.where for one in self.findings)


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors before warnings; what is found on both sides alike is said once."""
    out: dict[Finding, Finding] = {}
    for one in findings:
        key = replace(one, where="")
        alike = key in out and out[key].where != one.where
        out[key] = replace(one, where="both arms") if alike else one
    return tuple(sorted(out.values(), key=lambda one: one.level))
