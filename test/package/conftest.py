"""What scripts/test package has made ready: the built packages, and the wheels that they depend on."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
