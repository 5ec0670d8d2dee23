"""The readers and changes beside the tests, which `benchmarks/fuzz.py` uses as well."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
