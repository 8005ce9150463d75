"""The data that fits of this folder recover are drawn in drawn.py, which its tests import."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
