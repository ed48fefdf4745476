"""A table in MuJoCo: tasks with scripted experts for robots and for a simulated person.

The suite is ours; a number on it is not a number on RoboTwin, whose names it uses.
"""

from mivla.simulation.environment import BadCommand, Environment, player
from mivla.simulation.parallel import ExpertFails, demonstrations
from mivla.simulation.recording import NOISE_RAD, demonstrate, origin, record
from mivla.simulation.render import NoRenderer
from mivla.simulation.tasks import TASKS, Task, UnknownTask, task

__all__ = [
    "NOISE_RAD",
    "TASKS",
    "BadCommand",
    "Environment",
    "ExpertFails",
    "NoRenderer",
    "Task",
    "UnknownTask",
    "demonstrate",
    "demonstrations",
    "origin",
    "player",
    "record",
    "task",
]
