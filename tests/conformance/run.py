"""Run the standard suites, or those that are named: `python tests/conformance/run.py [SUITE ...]`."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

SUITES = ("pkits", "crl", "ocsp", "bettertls", "limbo")


def main() -> int:
    """Run them all, however the first ones come out; 1 when a bar was broken."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[[], *SUITES], help="which (default: all)")
    chosen = parser.parse_args().suites or SUITES
    sys.path.insert(0, str(Path(__file__).parents[2]))
    good = [importlib.import_module(f"tests.conformance.{name}").run() for name in chosen]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
