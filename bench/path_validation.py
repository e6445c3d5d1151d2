"""Validating a path of three certificates with two revocation lists, beside pyhanko-certvalidator and cryptography.

How much is known beforehand is what the figures depend on, so there are several cases; both sides have the same:
- nothing was ever seen: each validation has a hierarchy of its own, read from its bytes, the root's too. Four
  signatures have to be checked in each (two certificates, two lists), with two keys: loading these and checking those,
  and nothing else, is what no engine can go below. Also with a list of 1,000 entries, and with keys of RSA-3072.
- a signer that nobody has seen, with a name and a key of its own, of an authority that everybody knows: store,
  authority and lists are at hand and have been read, as when many files are checked. Each has a signing time of its
  own, as files with time stamps have, which for pyhanko-certvalidator is part of the context, so that it needs a new
  one each time (over objects that it has parsed); also all at one time, where one context does for all, which is what
  suits it best.
- the same hierarchy again and again, read from its bytes into a store, a context and lists of their own each time: what
  a program does that has the path and the lists in files and validates now and then. Nothing is carried over but what
  each library keeps by itself.
- a signer that was seen, at another time: chopmark remembers what it found for as long as no comparison with time would
  come out differently; pyhanko-certvalidator has the certificate and the lists, parsed, and validates again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import itertools
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509 as builders
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from bench.measure import Row, row, side_by_side
from chopmark.envelopes import x509
from chopmark.trust import context
from chopmark.trust.belief import Carried, believe
from chopmark.trust.crl.origins import CrlSource
from chopmark.trust.moment import Moment
from chopmark.trust.stores import source
from chopmark.trust.stores.anchors import UNCONSTRAINED, Anchor
from chopmark.trust.stores.store import Store
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyhanko_certvalidator import ValidationContext

COUNT = 100
"""Validations in one round."""
SECOND = dt.timedelta(seconds=1)
ENTRIES = 1_000
FEW = 20
"""Validations in one round with lists of ENTRIES."""
OURS_AGAIN, THEIRS_AGAIN = "a signer seen before, two CRLs", "pyhanko-certvalidator, a signer seen before"
OURS_SAME, THEIRS_SAME = "the same from bytes, two CRLs", "pyhanko-certvalidator, the same from bytes, two CRLs"
OURS_LONG, THEIRS_LONG = "all new, CRLs of 1,000 entries", "pyhanko-certvalidator, all new, 1,000 entries"
OURS_RSA, THEIRS_RSA = "all new, two CRLs, RSA-3072", "pyhanko-certvalidator, all new, RSA-3072"
OURS_KNOWN, THEIRS_KNOWN = "new signer, two CRLs", "pyhanko-certvalidator, new signer, two CRLs"
OURS_ONCE, THEIRS_ONCE = "new signer, two CRLs, one time", "pyhanko-certvalidator, new signer, one time and context"
OURS, THEIRS = "all new, two CRLs", "pyhanko-certvalidator, all new, two CRLs"
OURS_BARE, RUST = "all new, no CRLs", "cryptography's verifier, all new, no CRLs"
RUST_LISTS = "cryptography's verifier, all new, CRLs by hand"
LIMIT, LOADED = "four signatures alone", "four signatures and their two keys alone"


class Roots:
    """The root of a hierarchy as a store keeps it (store.Source), read when the store is made."""

    name = "bench"
    as_of: dt.datetime | None = None

    def __init__(self, raw: bytes) -> None:
        certificate = x509.certificate(raw)
        self._anchor = Anchor(certificate, UNCONSTRAINED, self.name, certificate.common_name)

    def __len__(self) -> int:
        """There is one."""
        return 1

    def named(self, name: bytes) -> list[Anchor]:
        """The root, if this is its name."""
        return [self._anchor] if self._anchor.certificate.subject == name else []

    def keyed(self, key_id: bytes) -> list[Anchor]:
        """The root, if this is its key."""
        return [self._anchor] if self._anchor.certificate.subject_key_id == key_id else []

    def resembling(self, text: bytes) -> list[Anchor]:
        """The root, if this stands in it."""
        return [self._anchor] if text in source.squeezed(self._anchor.certificate.raw) else []

    def every(self) -> Iterator[Anchor]:
        """The root."""
        return iter([self._anchor])

    def intermediates(self, name: bytes) -> list[x509.Certificate]:  # noqa: ARG002 - the shape of a source
        """There are none."""
        return []


class Hierarchy(NamedTuple):
    """DER of a root, of what is below it and of the lists, and who issued it."""

    root: bytes
    leaf: bytes
    issuing: bytes
    lists: tuple[bytes, bytes]
    authority: pki.Entity
    number: str

    def another(self, number: int) -> bytes:
        """A signer of the same authority (DER), with a key of its own."""
        return pki.leaf(self.authority, f"Bench Other {self.number} {number}").der


def hierarchies(kind: str = "p256", entries: int = 0) -> Iterator[Hierarchy]:
    """Ever new ones, with keys of a kind, and so many entries in the list about the signer."""
    gone = [pki.Revoked(2**126 + 7919 * number, pki.NOW - SECOND) for number in range(entries)]
    for number in (f"{kind} {entries} {each}" for each in itertools.count()):
        root = pki.authority(f"Bench Root {number}", kind=kind)
        issuing = pki.authority(f"Bench Issuing {number}", issuer=root, path_length=0, kind=kind)
        alternative = builders.SubjectAlternativeName([builders.DNSName("signer.example")])  # cryptography wants one
        signer = pki.leaf(issuing, f"Bench Signer {number}", kind=kind, more=[pki.Extension(alternative)])
        yield Hierarchy(root.der, signer.der, issuing.der, (pki.crl(root), pki.crl(issuing, gone)), issuing, number)


def ours(leaf: bytes, number: int, carried: Carried, here: context.Context) -> None:
    """One validation by chopmark."""
    moment = Moment(pki.NOW - number * SECOND)
    belief = believe(x509.certificate(leaf), carried, "code-signing", moment, here)
    assert belief.path.trusted
    assert not belief.against


def all_new(each: Hierarchy, mode: str) -> None:
    """One validation by chopmark of what was never seen; the lists came with the signature."""
    here = context.Context(Store([Roots(each.root)]), pki.NOW, mode, CrlSource())
    ours(each.leaf, 0, Carried((each.issuing,), each.lists), here)


def at_hand(each: Hierarchy, folder: Path) -> Callable[[bytes, int], None]:
    """Validations by chopmark, with the lists in files."""
    files = []
    for number, raw in enumerate(each.lists):
        path = folder / f"{number}.crl"
        path.write_bytes(raw)
        files.append(str(path))
    trusted = Store([Roots(each.root)])
    here = context.Context(trusted, pki.NOW, context.REQUIRE, CrlSource(files, cache=str(folder)))
    return partial(ours, carried=Carried((each.issuing,), ()), here=here)


class Pyhanko:
    """Validations by pyhanko-certvalidator, over what it has parsed of a hierarchy."""

    def __init__(self, each: Hierarchy, runner: asyncio.Runner) -> None:
        from asn1crypto import crl
        from asn1crypto import x509 as asn1

        self._load = asn1.Certificate.load
        self._root = self._load(each.root)
        self._issuing = self._load(each.issuing)
        self._lists = [crl.CertificateList.load(raw) for raw in each.lists]
        self._runner = runner
        self._kept: ValidationContext | None = None

    def _context(self, number: int) -> ValidationContext:
        from pyhanko_certvalidator import ValidationContext

        return ValidationContext(
            trust_roots=[self._root],
            other_certs=[self._issuing],
            crls=self._lists,
            moment=pki.NOW - number * SECOND,
            revocation_mode="require",
            allow_fetching=False,
        )

    def validate(self, leaf: bytes, number: int = 0) -> None:
        """One of them, at a time of its own."""
        self._validate(leaf, self._context(number))

    def validate_now(self, leaf: bytes, number: int = 0) -> None:  # noqa: ARG002 - all at the same time
        """One of them, all in one context."""
        if self._kept is None:
            self._kept = self._context(0)
        self._validate(leaf, self._kept)

    def _validate(self, leaf: bytes, here: ValidationContext) -> None:
        from pyhanko_certvalidator import CertificateValidator

        validator = CertificateValidator(self._load(leaf), validation_context=here)
        self._runner.run(validator.async_validate_usage({"digital_signature"}, {"code_signing"}))


def rust(each: Hierarchy) -> list[builders.Certificate]:
    """One validation by cryptography's verifier, without revocation: the path."""
    authorities = verification.ExtensionPolicy.webpki_defaults_ca()
    signers = verification.ExtensionPolicy.permit_all().require_present(
        builders.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, _signs_code
    )
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([builders.load_der_x509_certificate(each.root)]))
        .time(pki.NOW)
        .extension_policies(ca_policy=authorities, ee_policy=signers)
        .build_client_verifier()
    )
    leaf, issuing = map(builders.load_der_x509_certificate, (each.leaf, each.issuing))
    return list(verifier.verify(leaf, [issuing]).chain)


def _signs_code(*given: object) -> None:
    """The last argument is the extended key usage."""
    usage = given[-1]
    if not (isinstance(usage, builders.ExtendedKeyUsage) and ExtendedKeyUsageOID.CODE_SIGNING in usage):
        raise ValueError


def rust_with_lists(each: Hierarchy) -> None:
    """The same, and what somebody who uses it would do about revocation."""
    chain = rust(each)
    for raw, issuer, certificate in zip(each.lists, (chain[2], chain[1]), (chain[1], chain[0]), strict=True):
        found = builders.load_der_x509_crl(raw)
        assert found.issuer == issuer.subject
        assert found.next_update_utc is not None
        assert found.last_update_utc <= pki.NOW <= found.next_update_utc
        assert found.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
        assert found.get_revoked_certificate_by_serial_number(certificate.serial_number) is None


def _limit(batch: list[Hierarchy], *, loading: bool) -> float:
    """Seconds for the signatures of these alone; `loading` the keys as well."""
    checks = []
    for each in batch:
        root, issuing, leaf = map(builders.load_der_x509_certificate, (each.root, each.issuing, each.leaf))
        lists = [builders.load_der_x509_crl(raw) for raw in each.lists]
        for issuer, found in ((root, (issuing, lists[0])), (issuing, (leaf, lists[1]))):
            key = issuer.public_key()
            assert isinstance(key, ec.EllipticCurvePublicKey)
            point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
            checks.append((key, point, [(one.signature, _signed(one)) for one in found]))
    algorithm, curve = ec.ECDSA(hashes.SHA256()), ec.SECP256R1()
    load = ec.EllipticCurvePublicKey.from_encoded_point
    _clean()
    began = time.process_time()
    for key, point, signed in checks:
        used = load(curve, point) if loading else key
        for signature, data in signed:
            used.verify(signature, data, algorithm)
    return time.process_time() - began


def _timed(batch: list[Hierarchy], validate: Callable[[Hierarchy], object]) -> float:
    _clean()
    began = time.process_time()
    for each in batch:
        validate(each)
    return time.process_time() - began


def _same(each: Hierarchy, validate: Callable[[Hierarchy], object]) -> float:
    """Seconds for one hierarchy again and again, after the first time."""
    validate(each)
    return _timed([each] * COUNT, validate)


def _known(each: Hierarchy, validate: Callable[[bytes, int], None], step: int = 1) -> float:
    """Seconds for signers of one authority, after the first; each `step` seconds before the one before it."""
    leaves = [each.another(number) for number in range(COUNT)]
    validate(each.leaf, 0)
    _clean()
    began = time.process_time()
    for number, leaf in enumerate(leaves):
        validate(leaf, step * number)
    return time.process_time() - began


def _again(each: Hierarchy, validate: Callable[[bytes, int], None]) -> float:
    """Seconds for one signer at other times, after the first."""
    validate(each.leaf, 0)
    _clean()
    began = time.process_time()
    for number in range(COUNT):
        validate(each.leaf, number + 1)
    return time.process_time() - began


def run(folder: Path, rounds: int) -> list[Row]:
    """Thirteen rows. Times are processor seconds of COUNT validations, in this process."""
    made = hierarchies()
    long, rsa = hierarchies(entries=ENTRIES), hierarchies("rsa3072")

    def batch(of: Iterator[Hierarchy] = made, count: int = COUNT) -> list[Hierarchy]:
        return list(itertools.islice(of, count))

    def new(each: Hierarchy) -> None:
        all_new(each, context.REQUIRE)

    def theirs(each: Hierarchy) -> None:
        Pyhanko(each, runner).validate(each.leaf)

    with asyncio.Runner() as runner:
        taken = side_by_side(
            {
                OURS_KNOWN: lambda: _known(each := next(made), at_hand(each, folder)),
                THEIRS_KNOWN: lambda: _known(each := next(made), Pyhanko(each, runner).validate),
                OURS_ONCE: lambda: _known(each := next(made), at_hand(each, folder), 0),
                THEIRS_ONCE: lambda: _known(each := next(made), Pyhanko(each, runner).validate_now),
                OURS: lambda: _timed(batch(), new),
                OURS_BARE: lambda: _timed(batch(), lambda each: all_new(each, context.OFF)),
                THEIRS: lambda: _timed(batch(), theirs),
                OURS_SAME: lambda: _same(next(made), new),
                THEIRS_SAME: lambda: _same(next(made), theirs),
                OURS_AGAIN: lambda: _again(each := next(made), at_hand(each, folder)),
                THEIRS_AGAIN: lambda: _again(each := next(made), Pyhanko(each, runner).validate),
                OURS_LONG: lambda: _timed(batch(long, FEW), new),
                THEIRS_LONG: lambda: _timed(batch(long, FEW), theirs),
                OURS_RSA: lambda: _timed(batch(rsa), new),
                THEIRS_RSA: lambda: _timed(batch(rsa), theirs),
                RUST: lambda: _timed(batch(), rust),
                RUST_LISTS: lambda: _timed(batch(), rust_with_lists),
                LOADED: lambda: _limit(batch(), loading=True),
                LIMIT: lambda: _limit(batch(), loading=False),
            },
            rounds,
        )
    return [
        row(
            taken,
            THEIRS,
            OURS,
            bound=">= 10",
            note=f"{COUNT} validations, each of a hierarchy that nobody has seen before, on both sides from bytes",
        ),
        row(
            taken,
            THEIRS_KNOWN,
            OURS_KNOWN,
            bound=">= 10",
            note="a new signer of an authority that both have read before",
        ),
        row(
            taken,
            THEIRS_SAME,
            OURS_SAME,
            bound=">= 10",
            note="one path and its lists, on both sides from bytes and with a new context each time",
        ),
        row(taken, THEIRS_ONCE, OURS_ONCE, note="the same, all at one time, for pyhanko-certvalidator in one context"),
        row(taken, THEIRS_AGAIN, OURS_AGAIN, note="chopmark remembers what it found for the time that it holds"),
        row(taken, THEIRS_LONG, OURS_LONG, note=f"{FEW} validations"),
        row(taken, THEIRS_RSA, OURS_RSA),
        row(taken, THEIRS, RUST_LISTS, note="what compiled code comes to that reads lists by hand"),
        row(taken, OURS, RUST_LISTS),
        row(taken, OURS_BARE, RUST),
        row(taken, THEIRS, LOADED, note="no engine can be faster than the signatures it has to check"),
        row(taken, OURS, LOADED),
        row(taken, OURS, LIMIT),
    ]


def _clean() -> None:
    """Collect what others left; the collector itself stays as Python has it, as it does for users."""
    gc.collect()


def _signed(one: builders.Certificate | builders.CertificateRevocationList) -> bytes:
    return one.tbs_certificate_bytes if isinstance(one, builders.Certificate) else one.tbs_certlist_bytes
