"""Envelopes that can say why the content is not what was signed: the work is done only when it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.proof import Proof
    from chopmark.core.seal import Envelope, Payload

    Explain = Callable[[Payload, bytes], Iterable[Finding]]


class ExplainedEnvelope:
    """An envelope with one claim; where that fails, `explain` is asked for findings, given payload and expected digest.

    The artifact must still be open when it is checked.
    """

    def __init__(self, envelope: Envelope, expected: bytes | None, explain: Explain) -> None:
        self._envelope = envelope
        self._expected = expected
        self._explain = explain

    @property
    def scheme(self) -> str:
        """That of the envelope."""
        return self._envelope.scheme

    @property
    def raw(self) -> bytes:
        """That of the envelope."""
        return self._envelope.raw

    @property
    def facts(self) -> Iterable[tuple[str, object]]:
        """What the envelope itself has to tell, if anything."""
        facts: Iterable[tuple[str, object]] = getattr(self._envelope, "facts", ())
        return facts

    def check(self, payloads: Sequence[Payload]) -> Proof:
        """The envelope's own check, and an explanation where the content differs."""
        proof = self._envelope.check(payloads)
        if self._expected is None or not payloads or payloads[0].value == self._expected:
            return proof
        return proof._replace(findings=(*proof.findings, *self._explain(payloads[0], self._expected)))


def conversions(content: str, mark: str) -> Iterator[tuple[str, str, str]]:
    """What a text may have been before something converted it: its line breaks, its byte order mark, and the text.

    The first two say what is different ("CR LF", "LF"; "added", "removed") and are empty where nothing is; `mark` is
    the byte order mark as it stands in `content`.
    """
    bare = content.removeprefix(mark)
    for about_mark, marked in (("", content), ("removed", mark + bare), ("added", bare)):
        unified = marked.replace("\r\n", "\n")
        for about_breaks, text in (("", marked), ("CR LF", unified.replace("\n", "\r\n")), ("LF", unified)):
            yield about_breaks, about_mark, text
