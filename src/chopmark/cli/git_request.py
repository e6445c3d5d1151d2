"""How to sign what git signs, from options and settings: the same for `chopmark git sign` and for git's own program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.cli import sign
from chopmark.cli.settings import setting, text
from chopmark.core import clock
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import UsageError
from chopmark.engine.sign import SignRequest

if TYPE_CHECKING:
    from argparse import Namespace
    from contextlib import ExitStack


def request_for(args: Namespace, connections: ExitStack, *, ssh: bool = False) -> SignRequest:
    """The key, its certificates, the time and who stamps it; with `ssh` an SSH signature by any key.

    Raises UsageError and what opening the key raises.
    """
    from chopmark import keys
    from chopmark.engine import keyring
    from chopmark.envelopes import algorithms

    uri = text(setting(args.key, "sign", "key"), "key")
    if not uri:
        message = "no key: give --key URI, or set user.signingKey of git to one"
        raise UsageError(message)
    signer = keyring.open_key(uri, keys.secret(setting(args.passphrase, "sign", "passphrase")))
    bare = ssh or getattr(signer, "openpgp", None) is not None or uri.startswith(("ssh:", "ssh-agent:"))
    certificates = () if bare else sign.certificates_of(args) or signer.certificates
    if not bare and not certificates:
        message = (
            "no certificate: give --cert; SSH signatures are made with ssh: keys, as gpg.ssh.program, or with --ssh"
        )
        raise UsageError(message)
    return SignRequest(
        signer=signer,
        certificates=certificates,
        signing_time=clock.parse(args.signing_time) if args.signing_time else clock.now(),
        options=SealOptions(digest_algorithm=algorithms.usual_digest(signer)),
        stamper=sign.stamper_of(args, connections) if certificates else None,
        format_name="git",
    )
