"""Makes the library, and the tests' own packages, importable whatever directory pytest is started from."""
from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
for directory in (ROOT, ROOT / "lib"):
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))

# Hypothesis remembers failing examples; like everything that is made here, below build/.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / "build/hypothesis"))
