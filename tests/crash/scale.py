"""How hard the tests try: the variable CRASH_SCALE multiplies states, kills and ticks here, and examples elsewhere.

1, the default, suits every run of the suite; 20 takes the simulated power cuts of the recorder beyond 10,000 states and
the kills beyond 1,000.
"""

from __future__ import annotations

import os
from typing import Final

SCALE: Final = max(1, int(os.environ.get("CRASH_SCALE", "1")))
