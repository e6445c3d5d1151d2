"""Make signing keys, look at them, and request certificates for them.

A passphrase never stands on the command line: SRC is prompt, fd:N (the first
line of an open file descriptor) or env:NAME. A key without a passphrase must be
readable by its owner alone.

    $ chopmark key new -o release.key --type p256
    $ chopmark key csr --key release.key --subject "CN=Me" -o me.csr
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from chopmark.cli import output
from chopmark.core import digest
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from chopmark.core.contracts import Signer

KEY_HELP = "file:PATH, pkcs12:PATH, pkcs11:..., tpm2:..., ssh-agent:..., awskms:..., ...; a plain path is a file"
_MAKERS = "pkcs11:..., tpm2:..."
CA_KINDS = ("rsa-4096", "p256", "p384", "p521", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
KINDS = ("rsa-3072", "rsa-4096", "p256", "p384", "p521", "ed25519", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87")


def add_kind(parser: ArgumentParser, kinds: tuple[str, ...], default: str, what: str = "") -> None:
    """Declare --type: the kind of a new key, of those that serve here; `what` says whose."""
    said = f"{what}{', '.join(kinds)} (default {default})"
    parser.add_argument("--type", choices=kinds, default=default, metavar="KIND", help=said)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    new = actions.add_parser("new", help="make a private key")
    add_kind(new, (*KINDS, "rsa-2048"), "rsa-3072")
    new.add_argument(
        "-o", "--output", required=True, metavar="F|URI", help=f"file to write, readable by you alone; or {_MAKERS}"
    )
    add_new_passphrase(new)
    new.add_argument("--force", action="store_true", help="overwrite the file, and lose the key in it")
    show = actions.add_parser("show", help="kind, size and fingerprint of a key")
    show.add_argument("key", metavar="URI", help=KEY_HELP)
    show.add_argument("--passphrase", metavar="SRC", help="where to get it: prompt (default), fd:N, env:NAME")
    what = show.add_mutually_exclusive_group()
    what.add_argument("--json", action="store_true", help="as one JSON object")
    what.add_argument("--public", action="store_true", help="the public key alone, as PEM")
    csr = actions.add_parser("csr", help="make a certification request (PKCS #10)")
    csr.add_argument("--key", required=True, metavar="URI", help=KEY_HELP)
    csr.add_argument("--passphrase", metavar="SRC", help="where to get it: prompt (default), fd:N, env:NAME")
    csr.add_argument("--subject", required=True, metavar="NAME", help="such as 'CN=Example Ltd, O=Example Ltd, C=GB'")
    csr.add_argument("--digest", choices=digest.SIGNING_ALGORITHMS, help="default sha256, or what the key can")
    csr.add_argument("-o", "--output", metavar="F", help="file to write (default: standard output)")

    listing = actions.add_parser("list", help="list the keys in a token or an agent")
    listing.add_argument("place", metavar="URI", help="such as pkcs11:token=NAME, tpm2: or ssh-agent:")
    listing.add_argument("--passphrase", metavar="SRC", help="where to get it: prompt (default), fd:N, env:NAME")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")


def add_new_passphrase(parser: ArgumentParser, prefix: str = "") -> None:
    """The options that protect a new key."""
    protection = parser.add_mutually_exclusive_group()
    protection.add_argument(f"--{prefix}passphrase", metavar="SRC", help="of the key: prompt, fd:N, env:NAME")
    protection.add_argument(f"--no-{prefix}passphrase", action="store_true", help="leave the key unprotected")


def run(args: Namespace) -> int:
    """Do what was asked."""
    output.prepare()
    return {"new": _new, "show": _show, "csr": _csr, "list": _list}[args.action](args)


def _new(args: Namespace) -> int:
    from chopmark import keys

    if args.output.partition(":")[0] in keys.makers():
        return _new_elsewhere(args)
    if args.type == "rsa-2048":
        message = "an RSA key in a file has at least 3072 bits; 2048 is for tokens and TPMs that can do no more"
        raise UsageError(message)
    from chopmark.keys import generate
    from chopmark.keys.software import SoftwareSigner

    secret = new_passphrase(args.output, args)
    key = generate.new(args.type)
    generate.store(args.output, generate.encode(key, secret), replace=args.force)
    signer = SoftwareSigner(key)
    print(f"made       {output.clean(args.output)}")
    print(f"           {kind_text(signer.public_key)}, {'encrypted' if secret else 'not encrypted'}")
    print(f"SHA-256    {_fingerprint(signer)}")
    return 0


def _new_elsewhere(args: Namespace) -> int:
    """Make a key where it will stay."""
    from chopmark import keys

    def chosen(what: str) -> bytes | None:
        return new_passphrase(what, args)

    if args.force:
        message = "--force is for files: elsewhere a key has to be removed first"
        raise UsageError(message)
    signer = keys.new_key(args.output, args.type, keys.secret(args.passphrase), chosen)
    print(f"made       {output.clean(args.output)}")
    print(f"           {kind_text(signer.public_key)}")
    print(f"SHA-256    {_fingerprint(signer)}")
    return 0


def _list(args: Namespace) -> int:
    from chopmark import keys

    for found in keys.list_keys(args.place, keys.secret(args.passphrase)):
        sha256 = digest.of(found.public_key, "sha256").hex() if found.public_key else ""
        if args.json:
            import json

            kind = kind_text(found.public_key) if found.public_key else ""
            print(json.dumps({"key": found.uri, "name": found.kind, "kind": kind, "sha256": sha256}))
            continue
        print(f"key        {output.clean(found.uri)}")
        print(f"           {output.clean(found.kind)}" + ("" if found.public_key else ", does not sign here"))
        if sha256:
            print(f"SHA-256    {sha256}")
    return 0


def new_passphrase(what: str, args: Namespace, prefix: str = "") -> bytes | None:
    """The passphrase for a new key, None when it is to have none; `prefix` as in `add_new_passphrase`.

    Raises UsageError when nobody has said which.
    """
    from chopmark import keys

    name = prefix.replace("-", "_")
    if getattr(args, f"no_{name}passphrase"):
        return None
    secret = keys.new_secret(getattr(args, f"{name}passphrase"))(what)
    if secret is None:
        message = f"{what}: say where its passphrase comes from (--{prefix}passphrase SRC), or --no-{prefix}passphrase"
        raise UsageError(message)
    return secret


def _show(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.engine import keyring
    from chopmark.envelopes import pem, x509

    signer = keyring.open_key(args.key, keys.secret(args.passphrase))
    certificates = [x509.certificate(raw) for raw in signer.certificates]
    if args.public:
        print(pem.encode("PUBLIC KEY", signer.public_key).decode(), end="")
    elif args.json:
        import json

        from chopmark.envelopes import public_keys

        facts = {
            "key": args.key,
            "algorithm": signer.algorithm,
            "bits": public_keys.size(signer.public_key),
            "sha256": _fingerprint(signer),
            "certificates": [
                {"subject": certificate.subject_text, "sha256": certificate.sha256} for certificate in certificates
            ],
        }
        print(json.dumps(facts))
    else:
        padding = ", PSS padding" if signer.algorithm == "rsa-pss" else ""
        print(f"key        {output.clean(args.key)}")
        print(f"           {kind_text(signer.public_key)}{padding}")
        print(f"SHA-256    {_fingerprint(signer)}")
        for certificate in certificates:
            print(output.filled(output.clean(certificate.subject_text), first="with       "))
    return 0


def _csr(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.core import patch
    from chopmark.engine import keyring
    from chopmark.envelopes import algorithms, names, pem, pkcs10

    subject = names.encode(names.ordered(names.parse(args.subject)))
    signer = keyring.open_key(args.key, keys.secret(args.passphrase))
    name = args.digest or algorithms.usual_digest(signer)
    text = pem.encode(pkcs10.LABELS[0], pkcs10.build(subject, signer, name))
    if args.output:
        patch.write_file(args.output, text)
        print(f"requested  {output.clean(args.output)}", file=sys.stderr)
    else:
        print(text.decode(), end="")
    return 0


def kind_text(spki: bytes) -> str:
    """A public key's kind for people: "RSA, 3072 bits"."""
    from chopmark.envelopes import public_keys

    kind, size = public_keys.kind(spki), public_keys.size(spki)
    return {"rsa": f"RSA, {size} bits", "ec": f"P-{size}", "ed25519": "Ed25519"}.get(kind, kind.upper())


def _fingerprint(signer: Signer) -> str:
    return digest.of(signer.public_key, "sha256").hex()
