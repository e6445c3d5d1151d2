"""Names, versions and identifiers of exports, derived from the policy, so that the same one gives the same bytes."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from chopmark.core.errors import RefusedError

if TYPE_CHECKING:
    from chopmark.engine.policing.loading import Policy

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "chopmark.harden")
_PART = 1 << 16


def slug(text: str) -> str:
    """A name in lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "policy"


def identifier(*parts: str) -> uuid.UUID:
    """A UUID of version 5 (RFC 9562 clause 5.5), the same for the same parts."""
    return uuid.uuid5(_NAMESPACE, "\0".join(parts))


def version(policy: Policy, parts: int) -> str:
    """The policy's version as so many numbers of 16 bits between dots. Raises RefusedError for one too large."""
    left, found = policy.main.version, []
    for _ in range(parts):
        left, part = divmod(left, _PART)
        found.append(str(part))
    if left:
        raise RefusedError(f"version {policy.main.version} is larger than {parts} numbers of 16 bits")
    return ".".join(reversed(found))


def about(policy: Policy) -> str:
    """A policy in a line, for comments."""
    return f"{policy.main.name}, version {policy.main.version}, sha256:{policy.main.sha256}"
