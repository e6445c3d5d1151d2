"""An export as a folder: its files, and `export.json`, which says what they were made from and what differs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from chopmark.core import folders, limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, UsageError
from chopmark.core.patch import write_file

if TYPE_CHECKING:
    from chopmark.core.finding import Finding
    from chopmark.harden.contract import Enforcer, Export, Request

MANIFEST = "export.json"
_FORMAT = 1


def write(folder: str, target: Enforcer, request: Request, export: Export, *, replace: bool = False) -> list[str]:
    """Write an export; the paths written, the manifest last.

    A folder that has something in it is refused, unless `replace` and it holds an earlier export: then what that had
    and this one has not is removed. Raises UsageError, WriteError.
    """
    before = _earlier(folder, replace=replace)
    manifest = os.path.join(folder, MANIFEST)
    files = [(os.path.join(folder, each.path), each.data, 0o755 if each.executable else 0o644) for each in export.files]
    # A new one begins with what says that it is one: killed half-way, it can be replaced.
    files.insert(len(files) if before else 0, (manifest, _manifest(target, request, export), 0o644))
    with folders.made(folder):
        try:
            for path, data, mode in files:
                with folders.made(os.path.dirname(path)):
                    write_file(path, data, mode)
        except BaseException:
            _undo(folder, [path for path, _, _ in files if not before])
            raise
    for name in before - {file.path for file in export.files}:
        os.unlink(os.path.join(folder, name))
    return [*(path for path, _, _ in files if path != manifest), manifest]


def _undo(folder: str, files: list[str]) -> None:
    """Take away what there is of an export that did not become one."""
    for path in files:
        with contextlib.suppress(OSError):
            os.unlink(path)
        if os.path.dirname(path) != folder:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(path))


def _earlier(folder: str, *, replace: bool) -> set[str]:
    """The files of an earlier export in the folder."""
    try:
        names = set(os.listdir(folder))
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise UsageError(f"{folder}: {os.strerror(error.errno or 0)}") from None
    if not names:
        return set()
    if not replace:
        raise UsageError(f"{folder} is not empty; --force replaces an earlier export")
    try:
        held = json.loads(read_small(os.path.join(folder, MANIFEST), limits.EXPORT_MANIFEST_MAX))
        listed = {str(name) for name in held["files"]}
    except (InputError, ValueError, KeyError, TypeError):
        raise UsageError(f"{folder} holds no earlier export, so nothing in it is replaced") from None
    inside = {name for name in listed if _is_inside(folder, name)}
    return {name for name in inside if os.path.isfile(os.path.join(folder, name))}


def _is_inside(folder: str, name: str) -> bool:
    """A manifest may come from anybody: nothing is removed but what lies in the folder itself."""
    real = os.path.realpath(folder)
    return not os.path.isabs(name) and os.path.realpath(os.path.join(folder, name)).startswith(real + os.sep)


def _manifest(target: Enforcer, request: Request, export: Export) -> bytes:
    facts: dict[str, Any] = {
        "chopmark-export": _FORMAT,
        "to": target.name,
        "policy": [
            {"name": each.name, "version": each.version, "sha256": each.sha256} for each in request.policy.files
        ],
        "mode": str(request.policy.main.mode),
        "uses": sorted(request.uses),
        "options": dict(sorted(request.options.items())),
        "left_out": sorted(request.left_out),
        "until": request.until.isoformat() if request.until else None,
        "files": {each.path: hashlib.sha256(each.data).hexdigest() for each in export.files},
        "findings": [as_dict(each) for each in export.findings],
    }
    return json.dumps(facts, indent=1).encode() + b"\n"


def as_dict(finding: Finding) -> dict[str, str]:
    """A finding for JSON."""
    return {
        "code": finding.code,
        "outcome": str(finding.outcome),
        "subject": finding.subject,
        "detail": finding.detail,
    }
