"""`chopmark sign --log`: signatures that were made, entered into a log, with the proof beside each file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.authority.logbook import Event


class Logged(NamedTuple):
    """A signature in the log: the number of its entry, and where its proof is."""

    number: int
    proof: str


class Made(NamedTuple):
    """A signature that was made: the file that it is about, its format, the signer's key and name."""

    path: str
    format: str
    signer_sha256: str
    signer: str


def require(folder: str) -> None:
    """Find out before anything is signed whether there is a log. Raises UsageError and what the log raises."""
    from chopmark.authority import logbook

    with logbook.opened(folder) as book:
        book.log.latest()


def record(made: Sequence[Made], folder: str, passphrase: str | None) -> list[Logged]:
    """Log signatures, all at once, and write the proofs. Raises what logs, keys and files raise."""
    from chopmark import keys
    from chopmark.authority import logbook
    from chopmark.authority.log import logs
    from chopmark.core import patch
    from chopmark.engine.logged import SUFFIX

    events = [_event(one) for one in made]
    found = []
    with logbook.opened(folder, keys.secret(passphrase)) as book:
        numbers = book.record(events)
        prover = logs.Prover(book.log)
        for one, number in zip(made, numbers, strict=True):
            patch.write_file(one.path + SUFFIX, prover.prove(number).encode())
            found.append(Logged(number, one.path + SUFFIX))
    return found


def _event(made: Made) -> Event:
    from chopmark.authority.logbook import Event
    from chopmark.engine import logged

    with Artifact.open(made.path) as artifact:
        facts = {
            "file_sha256": logged.sha256(artifact),
            "format": made.format,
            "signer_sha256": logged.signer(artifact, made.format, made.signer_sha256),
        }
    return Event("sign", made.signer, facts)
