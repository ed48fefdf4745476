"""The mutual mapping between a person's hands and a robot's arms (see docs/mapping.md)."""

from mivla.retarget.mapping import (
    HAND_HOME,
    CannotMap,
    home_grip,
    label,
    mapping_hash,
    retarget,
    summary,
    with_tool_poses,
)
from mivla.retarget.opening import opening_filtered, opening_of
from mivla.retarget.registration import Registration, SideRegistration
from mivla.retarget.rules import (
    MEASURED_ANCHORS,
    PRESETS,
    InvalidRules,
    Reason,
    Rules,
    preset,
    usual_preset,
)

__all__ = [
    "HAND_HOME",
    "MEASURED_ANCHORS",
    "PRESETS",
    "CannotMap",
    "InvalidRules",
    "Reason",
    "Registration",
    "Rules",
    "SideRegistration",
    "home_grip",
    "label",
    "mapping_hash",
    "opening_filtered",
    "opening_of",
    "preset",
    "retarget",
    "summary",
    "usual_preset",
    "with_tool_poses",
]
