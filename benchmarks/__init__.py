"""Compare builds with those of other tools: the same work, on the same engine and registry."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))  # for the counting proxy
