"""Render the reference pages that come from the code, or with --check tell which of them are out of date.

docs/reference/reasons.md comes from the catalogue of reason codes, docs/reference/formats.md from the formats found by
discovery, docs/reference/commands.md from the command line's own help, docs/reference/capabilities.md from what
enforcers say of themselves, docs/reference/attack.md from attack.toml and the techniques that reasons name,
docs/reference/known-attacks.md from known_attacks.toml, docs/adr/README.md from the records. Links between pages are
checked as well.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from chopmark import cli
from chopmark.core import discovery
from chopmark.core.finding import AGAINST
from chopmark.core.reasons import CATALOG
from chopmark.engine import identify
from chopmark.harden.contract import CONDITIONS, TRAITS, Exporter

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
_NOTE = "<!-- Made by `make docs`; change the code instead. -->\n\n"
ATTACK = ROOT / "tools" / "attack.toml"
KNOWN_ATTACKS = ROOT / "tools" / "known_attacks.toml"
_CODES_SHOWN = 8
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def main(arguments: list[str] | None = None) -> int:
    """Write or check; 1 when a page is out of date or a link leads nowhere."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check: bool = parser.parse_args(arguments).check
    complaints = []
    for page, text in pages().items():
        target = DOCS / page
        if target.exists() and target.read_text() == text:
            continue
        if check:
            complaints.append(f"{target.relative_to(ROOT)} is out of date: run make docs")
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            print(f"wrote {target.relative_to(ROOT)}")
    complaints += dead_links()
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


def pages() -> dict[str, str]:
    """Every generated page: its name under docs, and what it shall say."""
    discovery.load_reasons()
    return {
        "reference/reasons.md": _reasons(),
        "reference/formats.md": _formats(),
        "reference/commands.md": _commands(),
        "reference/capabilities.md": _capabilities(),
        "reference/attack.md": _attack(),
        "reference/known-attacks.md": _known_attacks(),
        "adr/README.md": _decisions(),
    }


def dead_links() -> list[str]:
    """Relative links in the project's pages whose target is not there."""
    found = []
    for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]:
        missing = [target for target in _LINK.findall(page.read_text()) if not (page.parent / target).exists()]
        found += [f"{page.relative_to(ROOT)}: no such page: {target}" for target in missing]
    return found


def _reasons() -> str:
    lines = [
        "# Reason codes\n\n",
        _NOTE,
        "Every check leaves a finding with one of these codes; passed checks too. `no` refuses, `unknown` leaves the\n",
        "file undecided, `info` is for the record. Techniques are MITRE ATT&CK identifiers.\n",
    ]
    area = ""
    for code in sorted(CATALOG):
        reason = CATALOG[code]
        if code.split(".")[0] != area:
            area = code.split(".")[0]
            lines.append(f"\n## {area}\n\n| code | outcome | meaning | remedy | source | techniques |\n")
            lines.append("|---|---|---|---|---|---|\n")
        cells = (
            f"`{code}`",
            str(reason.outcome),
            reason.sentence,
            reason.remedy,
            reason.cites,
            ", ".join(reason.techniques),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return "".join(lines)


def _formats() -> str:
    lines = ["# Formats\n\n", _NOTE, "| name | what | usual suffixes | signature |\n|---|---|---|---|\n"]
    for name, format_ in sorted(identify.formats().items()):
        page = f"formats/{name}.md"
        label = f"[`{name}`]({page})" if (DOCS / "reference" / page).exists() else f"`{name}`"
        lines.append(f"| {label} | {format_.title} | {' '.join(format_.suffixes) or 'any'} | {format_.envelope} |\n")
    return "".join(lines)


def _capabilities() -> str:
    backends = sorted(discovery.exported("chopmark.harden", "BACKEND").values(), key=lambda each: each.name)
    tables = [backend.capabilities() for backend in backends]
    lines = [
        "# What each enforcer can say\n\n",
        _NOTE,
        "For each thing that a policy can be about ([how it is exported](harden.md)), two words: in rules that\n",
        "allow, and in rules that deny. `exact`: the same is decided. `narrower`: less is allowed. `wider`: more\n",
        "would be allowed, so it is not said. `not at all`: there are no words for it. One word stands for both.\n\n",
        "| | " + " | ".join(f"[{each.name}](#{each.name})" for each in backends) + " |\n",
        "|---|" + "---|" * len(backends) + "\n",
    ]
    for name, meaning in (CONDITIONS | TRAITS).items():
        cells = (table[name] for table in tables)
        words = (each.allow if each.allow is each.deny else f"{each.allow} / {each.deny}" for each in cells)
        lines.append(f"| `{name}`: {meaning} | " + " | ".join(words) + " |\n")
    for backend, table in zip(backends, tables, strict=True):
        lines += [f"\n## {backend.name}\n\n{backend.title}. Why not better, and how:\n\n"]
        lines += [f"- `{name}`: {cell.sentence}\n" for name, cell in table.items() if cell.sentence]
        if isinstance(backend, Exporter) and backend.options:
            lines += ["\nOptions:\n\n", *(f"- `--option {name}`: {what}\n" for name, what in backend.options.items())]
    return "".join(lines)


def attack_table() -> dict[str, Any]:
    """The measures, components and techniques, as they are written down."""
    return tomllib.loads(ATTACK.read_text())


def codes_of(technique: str) -> list[str]:
    """The reason codes that speak against a file and name this very technique."""
    against = {code: reason for code, reason in CATALOG.items() if reason.outcome in AGAINST}
    return sorted(code for code, reason in against.items() if technique in reason.techniques)


def _attack() -> str:
    table = attack_table()
    lines = ["# Where it stands on ATT&CK\n\n", _NOTE, table["text"], "\n## The five measures of M1045\n"]
    lines += [line for each in table["measure"] for line in _section(each["name"], each)]
    lines.append("\n## The four components\n")
    lines += [line for each in table["component"] for line in _section(each["name"], each)]
    lines.append("\n## Techniques\n")
    lines += [line for each in table["technique"] for line in _section(f"{each['id']} {each['name']}", each)]
    lines += ["\n## Techniques beyond these\n\n", "That reason codes name as well, and how many do:\n\n"]
    named = {each["id"] for each in table["technique"]}
    others = sorted({each for reason in CATALOG.values() for each in reason.techniques} - named)
    lines.append(", ".join(f"{each} ({len(codes_of(each))})" for each in others if codes_of(each)) + "\n")
    return "".join(lines)


def known_attacks_table() -> dict[str, Any]:
    """What was published of other verifiers, by area, as it is written down."""
    return tomllib.loads(KNOWN_ATTACKS.read_text())


def _known_attacks() -> str:
    table = known_attacks_table()
    count = sum(len(area["weakness"]) for area in table["area"])
    lines = ["# Known attacks\n\n", _NOTE, table["text"], f"\nThere are {count}.\n"]
    for area in table["area"]:
        lines += [
            f"\n## {area['name']}\n\n",
            "| weakness | what it was | what chopmark says | shown by |\n|---|---|---|---|\n",
        ]
        for each in area["weakness"]:
            said = [", ".join(f"`{code}`" for code in each.get("codes", ())), each.get("says", "")]
            said += [f"Not done: {each['later']}"] if "later" in each else []
            tests = " ".join(f"`{node}`" for node in each["tests"])
            cells = (each["name"], each["was"], " ".join(filter(None, said)), tests)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return "".join(lines)


def _section(title: str, entry: dict[str, Any]) -> list[str]:
    lines = [f"\n### {title}\n\n{entry['text']}\n\n"]
    lines.append(f"- Commands: {', '.join(f'`chopmark {each}`' for each in entry['commands'])}\n")
    found = codes_of(entry.get("id", ""))
    if found:
        more = f" and {len(found) - _CODES_SHOWN} more" if len(found) > _CODES_SHOWN else ""
        lines.append(f"- Codes: {', '.join(f'`{each}`' for each in found[:_CODES_SHOWN])}{more}\n")
    if entry.get("tests"):
        lines.append(f"- Shown by: {', '.join(f'`{each}`' for each in entry['tests'])}\n")
    if entry.get("later"):
        lines.append(f"- Not done: {entry['later']}\n")
    return lines


def _decisions() -> str:
    lines = [
        "# Decision records\n\n",
        _NOTE,
        "Why things are as they are. A record is not edited when minds change: a new one says what it replaces.\n\n",
    ]
    for page in sorted((DOCS / "adr").glob("[0-9]*.md")):
        number, _, title = page.read_text().splitlines()[0].removeprefix("# ").partition(". ")
        lines.append(f"- [{number}]({page.name}) {title}\n")
    return "".join(lines)


def _commands() -> str:
    os.environ["COLUMNS"] = "80"
    parts = ["# Commands\n\n", _NOTE, "```text\n", _help(["--help"]), "```\n"]
    for verb in cli.VERBS:
        parts += [f"\n## chopmark {verb}\n\n```text\n", _help([verb, "--help"]), "```\n"]
    return "".join(parts)


def _help(arguments: list[str]) -> str:
    captured = io.StringIO()
    with contextlib.redirect_stdout(captured), contextlib.suppress(SystemExit):
        cli.main(arguments)
    return captured.getvalue()


if __name__ == "__main__":
    sys.exit(main())
