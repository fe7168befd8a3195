"""The benchmarks are a package of the source tree only."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))
