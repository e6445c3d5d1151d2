"""Measure chopmark beside its peers, in one run, as ratios; print a table and keep it as JSON.

The peers are installed by `make interop`. Every figure is the time of whole processes (start of the interpreter
included), the median of several rounds in which all take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.table import Table

from bench import (
    big_file,
    boot,
    catalog,
    crl_large,
    crl_write,
    deb,
    git_commits,
    guard,
    guard_memory,
    guard_peers,
    kmod,
    log,
    measure,
    ocsp_answers,
    openpgp,
    path_validation,
    policy,
    register_search,
    rpm,
    serve,
    services,
    signing,
    startup,
    tsa,
    verify_many,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = {
    "startup": startup,
    "verify": verify_many,
    "big": big_file,
    "boot": boot,
    "kmod": kmod,
    "catalog": catalog,
    "services": services,
    "sign": signing,
    "crl": crl_large,
    "crl-write": crl_write,
    "tsa": tsa,
    "ocsp": ocsp_answers,
    "openpgp": openpgp,
    "deb": deb,
    "rpm": rpm,
    "git": git_commits,
    "path": path_validation,
    "policy": policy,
    "guard": guard,
    "guard-peers": guard_peers,
    "guard-memory": guard_memory,
    "log": log,
    "search": register_search,
    "serve": serve,
}
RESULTS = measure.ROOT / "bench" / "results"


def main() -> int:
    """Run the parts that were named, all by default; 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="which (default all)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows: list[measure.Row] = []
    with tempfile.TemporaryDirectory(prefix="chopmark-bench-") as work:
        for name in options.parts or PARTS:
            print(f"measuring: {name}", file=sys.stderr)
            folder = Path(work, name)
            folder.mkdir()
            rows += PARTS[name].run(folder, options.rounds)
    show(rows)
    RESULTS.mkdir(parents=True, exist_ok=True)
    facts = {
        "machine": platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "rows": [row.as_dict() for row in rows],
    }
    (RESULTS / "latest.json").write_text(json.dumps(facts, indent=1) + "\n")
    return 0 if all(row.kept is not False for row in rows) else 1


def show(rows: Sequence[measure.Row]) -> None:
    """The table."""
    table = Table(title="chopmark beside its peers (medians; ratio = left / right)")
    for heading in ("what", "time", "beside", "time", "ratio", "bound", "kept"):
        table.add_column(heading, justify="right" if heading in ("time", "ratio") else "left")
    for row in rows:
        kept = {True: "yes", False: "NO", None: ""}[row.kept]
        table.add_row(
            row.what,
            f"{row.seconds:.3f} s",
            row.beside,
            f"{row.beside_seconds:.3f} s",
            f"{row.ratio:.2f}",
            row.bound,
            kept,
        )
    console = Console(width=max(120, Console().width))
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"{row.what}: {row.note}")


if __name__ == "__main__":
    sys.exit(main())
