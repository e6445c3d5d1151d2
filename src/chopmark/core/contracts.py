"""The contracts between rooms, as protocols: what a format, an envelope and a key must answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.core.patch import Patch
    from chopmark.core.proof import Proof
    from chopmark.core.seal import Payload, Recipe, Seal
    from chopmark.core.signer import PublicKey
    from chopmark.core.verdict import SealVerdict
    from chopmark.core.versions import Release


class Content(NamedTuple):
    """What an envelope is to be made over.

    `content_type` is the dotted object identifier of what is signed; `body` its DER when it travels inside the
    envelope, None when it stays outside (detached) and only `digest` of it is signed. `attributes` are further signed
    attributes, (object identifier, DER of the one value). `message` is the content itself, for envelopes in which
    nothing else is signed: the key then signs all of it.
    """

    content_type: str
    digest_algorithm: str
    digest: bytes
    body: bytes | None = None
    attributes: tuple[tuple[str, bytes], ...] = ()
    message: bytes | None = None


class SealOptions(NamedTuple):
    """What a person may ask of a new signature, as far as a format cares.

    `description` and `url` are shown by some systems at a prompt; `page_hashes` asks for per-page digests;
    `append` keeps the signatures there are and adds this one beside or inside them; `variant` is the format's own (such
    as "pem" for detached).
    """

    digest_algorithm: str = "sha256"
    description: str = ""
    url: str = ""
    page_hashes: bool = False
    append: bool = False
    variant: str = ""


class Description(NamedTuple):
    """What lists of files can say of one artifact.

    `recipes` are the digests by which its format knows it, `strings` the names that its publisher gave it (pairs, of
    the version resource of a PE image), `version` the number there, `kernel` whether it runs in the kernel; `readable`
    is False when there are names that could not be read.
    """

    recipes: tuple[Recipe, ...] = ()
    strings: tuple[tuple[str, str], ...] = ()
    version: tuple[int, int, int, int] | None = None
    kernel: bool = False
    readable: bool = True


@runtime_checkable
class Format(Protocol):
    """Where signatures live in one kind of artifact.

    A package in chopmark/formats exports one as `FORMAT`; it is found by discovery. `name` is the word on the command
    line, `title` the one for people, `envelope` the name of the envelope its signatures are made in, `options` the
    fields of SealOptions that mean something here (all formats heed `digest_algorithm` and `append`). One that takes
    nothing for its own but what begins in certain ways has an attribute `begins` with these (bytes, none of them
    empty), and is not asked about anything else; or `otherwise` says how certain it is of anything else at most, and it
    is only asked when nobody was more certain.
    """

    name: str
    title: str
    envelope: str
    options: tuple[str, ...]

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The usual extensions, with the dot, in lower case."""

    def detect(self, head: bytes, name: str) -> int:
        """How certain it is that this is its own: 0 not at all .. 9 beyond doubt; `head` is the first bytes."""

    def extract(self, artifact: Artifact) -> Iterable[Seal]:
        """Every signature in it, outermost first; raises MalformedError where the structure breaks the rules."""

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """What a new signature would cover."""

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """What recipes of this format come to, in as few passes as possible."""

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:
        """What the envelope signs, given the digest of the artifact."""

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """Put an envelope in; never writes. With `options.append` existing signatures stay, else they are replaced."""

    def strip(self, artifact: Artifact) -> Patch:
        """Take every signature out."""


class KeySource(Protocol):
    """Where envelopes look for public keys and certificates that signatures only name."""

    def keys(self, kind: str, identifier: bytes) -> Sequence[PublicKey]:
        """The keys of a kind with this identifier; several may have the same."""

    def certificates(self, issuer: bytes, serial: bytes, key_id: bytes) -> Sequence[bytes]:
        """The certificates (DER) with this issuer (DER Name) and serial number (octets), or this key identifier.

        A key identifier of four octets is the end of one, as IMA's signatures name a key.

        Those that are trusted themselves come first; nobody is trusted for being found.
        """


class Keyed(Protocol):
    """An envelope that does not carry the key or certificate it is checked with; its `check` alone can only say so."""

    def check_with(self, payloads: Sequence[Payload], keys: KeySource) -> Proof:
        """Verify with what is known; the proof's signer has no fingerprint where none fits."""


@runtime_checkable
class Prepares(Protocol):
    """A format that must change the artifact before it can be hashed (padding, reserved room)."""

    def prepare(self, artifact: Artifact, options: SealOptions) -> Artifact:
        """The artifact as it will be hashed; the caller closes it."""


class StripsSeveral(Protocol):
    """A format that keeps signatures in several places; its `strip` alone takes out the first."""

    def strips(self, artifact: Artifact) -> Sequence[Patch]:
        """A patch for each place that has one."""


@runtime_checkable
class Describes(Protocol):
    """A format whose files are named in lists by more than their bytes."""

    def describe(self, artifact: Artifact) -> Description:
        """What there is; raises MalformedError where the artifact breaks the format's rules."""


@runtime_checkable
class Versioned(Protocol):
    """A format whose files say which version of which product they are, so that an older one can be refused."""

    def release(self, artifact: Artifact) -> Release | None:
        """What the artifact says of itself; None where it says nothing.

        Only what its signatures cover counts. Raises MalformedError where it cannot be read, UnreadableError.
        """


@runtime_checkable
class Examines(Protocol):
    """A format whose files say of themselves what they hold, so that they can be held to it whoever signed them."""

    def detect(self, head: bytes, name: str) -> int:
        """As a Format has it; any claim to a file suffices for it to be asked."""

    def examine(self, artifact: Artifact) -> Iterable[Finding]:
        """What came of it, passed checks too; nothing of it says who made the file.

        Raises MalformedError where nothing more can be looked at, UnreadableError.
        """


@runtime_checkable
class Shows(Protocol):
    """A format whose files have more to show than their signatures."""

    def facts(self, artifact: Artifact) -> Sequence[tuple[str, str]]:
        """What is in it, for people: what it is about, and what there is; raises MalformedError."""


class Voucher(Protocol):
    """A signed list of files, which itself was judged: through it files are trusted that carry no signature."""

    def vouch(self, name: str, digest: bytes) -> Vouched:
        """What it says of a file with this name and SHA-256."""

    def holds(self, path: bytes, digest: bytes) -> bool:
        """Whether it says that this content stands at this absolute path, where the tree is in use."""


class Vouched(NamedTuple):
    """What a list says of a file: a seal that stands for the list's own, or a finding against it, or nothing."""

    seal: SealVerdict | None = None
    finding: Finding | None = None


class Signer(Protocol):
    """A private key that can sign, wherever it lives, with what belongs to it.

    `algorithm` names the kind of key and signature: "rsa" (PKCS #1 v1.5), "rsa-pss" (MGF1 and a salt as long as the
    digest), "ec", "ed25519", "ml-dsa-44", "ml-dsa-65" or "ml-dsa-87"; `public_key` is DER SubjectPublicKeyInfo;
    `certificates` are DER, its own first if it has one, then intermediates. One that cannot use every digest has an
    attribute `digests` with the names of those it can; one that signs in this process, without a device or a service,
    has a true attribute `at_hand`.
    """

    @property
    def algorithm(self) -> str:
        """The kind of key and signature."""

    @property
    def public_key(self) -> bytes:
        """DER SubjectPublicKeyInfo."""

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """DER certificates that came with the key (a PKCS #12 has some); may be empty."""

    def sign(self, data: bytes, digest_algorithm: str) -> bytes:
        """The raw signature over `data` (DER for ECDSA); the digest is ignored for Ed25519 and ML-DSA."""


class Fetcher(Protocol):
    """What fetches from the network, for rooms that must not do so themselves."""

    def get(self, url: str, limit: int) -> bytes:
        """The body of a GET; raises UnavailableError."""

    def post(self, url: str, body: bytes, content_type: str, limit: int) -> bytes:
        """The body of the answer to a POST; raises UnavailableError."""


class HttpAnswer(NamedTuple):
    """What a server answered: the status, the headers by lower-case name, the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Web(Protocol):
    """What speaks HTTP with a service, for rooms that must not do so themselves; not for several threads at once."""

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        limit: int,
        timeout: float,
        direct: bool = False,
    ) -> HttpAnswer:
        """The answer to one request, whatever its status; a redirect is an answer. Raises UnavailableError.

        `timeout` is seconds for all of it; with `direct` no proxy is used, for addresses that mean this very machine.
        """

    def close(self) -> None:
        """Close kept connections."""


class Stamper(Protocol):
    """A time-stamp authority, near or far."""

    def stamp(self, signature: bytes, digest_algorithm: str) -> bytes:
        """A DER TimeStampToken over the signature value; raises UnavailableError."""


class Countersignature(NamedTuple):
    """Authenticode's older time stamp: the DER of a SignerInfo over a signature, and DER certificates for it."""

    value: bytes
    certificates: tuple[bytes, ...]


class Countersigner(Protocol):
    """A time-stamp authority, near or far, that stamps as Authenticode did before RFC 3161."""

    def countersign(self, signature: bytes) -> Countersignature:
        """A countersignature over the signature value; raises UnavailableError."""
