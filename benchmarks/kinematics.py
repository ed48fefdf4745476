"""The figures of kinematics and mapping: speed beside peers, failures, cold starts, exactness.

    pip install -c constraints.txt -e ".[bench]"    # the peers: mink with daqp, EAIK, pinocchio
    python benchmarks/kinematics.py [--rounds 9] [--json]

`inverse_kinematics.py` and `egodex_pipeline.py` say what is measured and how. All of it runs on one
thread and counts process CPU time; rounds are interleaved, and figures are medians.
"""

import os

# Before numpy and its kin look: one thread for all.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json

import egodex_pipeline
import inverse_kinematics

NAMES = (
    "ik_vs_mink",
    "ik_vs_eaik",
    "smooth_failures",
    "unflagged_jumps",
    "cold_start_rate",
    "fk_error_m",
    "egodex_actions_vs_loop",
    "pipeline_vs_read",
)


def main() -> None:
    """Measure, print tables, and with --json one line of JSON at the end."""
    parser = argparse.ArgumentParser(description="Figures of kinematics and mapping.")
    parser.add_argument("--rounds", type=int, default=9, help="how often each is timed")
    parser.add_argument("--json", action="store_true", help="end with all figures as one line")
    options = parser.parse_args()

    values = inverse_kinematics.figures(options.rounds)
    inverse_kinematics.report(values)
    values |= egodex_pipeline.figures(options.rounds)
    print()
    for name in NAMES:
        print(f"{name:24} {values[name]}")
    if options.json:
        print(json.dumps(values))


if __name__ == "__main__":
    main()
