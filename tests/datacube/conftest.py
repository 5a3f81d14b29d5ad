"""The oracle of `test_oracle_*`, which is code of its own beside them, and how answers are given to it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

# Test files cannot import each other; the oracle is no test file, and imports nothing of the project.
sys.path.insert(0, str(Path(__file__).parent))
try:
    for _name in ("oracle_cells", "oracle_answers", "oracle_worlds", "oracle_questions"):
        importlib.import_module(_name)
finally:
    sys.path.pop(0)
