"""Made-up data that the tests of several rooms share is imported from `tests/mixture/made.py`."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "mixture"))

# What is set on somebody's machine is no part of what is tested.
for name in ("MIVLA_MESHES", "MIVLA_ROBOTS"):
    os.environ.pop(name, None)
