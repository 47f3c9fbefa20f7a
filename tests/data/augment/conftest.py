"""Test modules import `augment_references` from beside them, which `--import-mode=importlib` does not arrange."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
