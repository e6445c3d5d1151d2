"""Time-stamp tokens: TSTInfo (RFC 3161 clause 2.4.2), read and made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, der, signatures, x509

if TYPE_CHECKING:
    import datetime as dt


class TstInfo(NamedTuple):
    """What an authority states: this digest existed at this time.

    `accuracy` is in seconds, None when it is not stated; `authority` is the DER Name the token claims for its
    authority, empty without; `extensions` are as in certificates.
    """

    policy: str
    algorithm: str
    digest: bytes
    serial: int
    time: dt.datetime
    accuracy: float | None = None
    ordering: bool = False
    nonce: int | None = None
    authority: bytes = b""
    extensions: dict[str, x509.Extension] = {}  # noqa: RUF012 - never written to

    def encoded(self) -> bytes:
        """Its DER."""
        parts = [
            der.integer(1),
            der.oid(self.policy),
            imprint(self.algorithm, self.digest),
            der.integer(self.serial),
            der.generalized_time(self.time),
        ]
        if self.accuracy is not None:
            parts.append(_accuracy(self.accuracy))
        if self.ordering:
            parts.append(der.boolean(self.ordering))
        if self.nonce is not None:
            parts.append(der.integer(self.nonce))
        if self.authority:
            parts.append(der.explicit(0, der.explicit(4, self.authority)))
        return der.sequence(*parts)


def read_info(raw: bytes) -> TstInfo:
    """Read a TSTInfo. Raises DerError, or UnsupportedError for an unknown digest algorithm."""
    fields = der.parse(raw).fields()
    if fields.take(der.INTEGER).integer() != 1:
        raise der.DerError("not version 1 of a TSTInfo")
    policy = fields.take().oid()
    algorithm, digest = read_imprint(fields.take())
    serial = fields.take(der.INTEGER).integer()
    time = fields.take(der.GENERALIZED_TIME).time()
    accuracy = fields.optional(der.SEQUENCE)
    ordering = fields.optional(der.BOOLEAN)
    nonce = fields.optional(der.INTEGER)
    authority = fields.optional(der.context(0))
    block = fields.optional(der.context(1))
    fields.done()
    name = authority.only_child() if authority else None
    return TstInfo(
        policy=policy,
        algorithm=algorithm,
        digest=digest,
        serial=serial,
        time=time,
        accuracy=_read_accuracy(accuracy) if accuracy else None,
        ordering=ordering.boolean() if ordering else False,
        nonce=nonce.integer() if nonce else None,
        authority=name.only_child().raw if name and name.tag == der.context(4) else b"",
        extensions=x509.extensions(der.parse(block.retagged(der.SEQUENCE))) if block else {},
    )


def imprint(algorithm: str, digest: bytes) -> bytes:
    """A MessageImprint."""
    return der.sequence(algorithms.digest_identifier(algorithm), der.octet_string(digest))


def read_imprint(node: der.Node) -> tuple[str, bytes]:
    """Algorithm name and digest of a MessageImprint; the length must fit. Raises DerError, UnsupportedError."""
    fields = node.fields()
    name = algorithms.digest_name(fields.take())
    digest = fields.take().octets()
    fields.done()
    if len(digest) != signatures.hash_algorithm(name).digest_size:
        raise der.DerError(f"an imprint of {len(digest)} bytes for {name}")
    return name, digest


def _accuracy(seconds: float) -> bytes:
    micros = round(seconds * 1_000_000)
    whole, millis, micros = micros // 1_000_000, micros // 1000 % 1000, micros % 1000
    parts = [der.integer(whole)] if whole else []
    parts += [
        der.implicit(number, der.parse(der.integer(value)).value)
        for number, value in ((0, millis), (1, micros))
        if value
    ]
    return der.sequence(*parts)


def _read_accuracy(node: der.Node) -> float:
    fields = node.fields()
    seconds = fields.optional(der.INTEGER)
    whole = seconds.integer() if seconds else 0
    if not 0 <= whole < 10**9:
        raise der.DerError("an accuracy that is none")
    total = float(whole)
    for number, unit in ((0, 1e-3), (1, 1e-6)):
        part = fields.optional(der.context(number, constructed=False))
        if part:
            value = der.parse(part.retagged(der.INTEGER)).integer()
            if not 0 <= value < 1000:
                raise der.DerError("an accuracy with a thousand or more of a unit, or less than none")
            total += value * unit
    fields.done()
    return total
