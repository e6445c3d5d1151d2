"""Signed notes, and the keys that check them."""

from collections.abc import Iterable
from contextlib import suppress

from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import note
from chopmark.envelopes.note import Note, VerifierKey
from chopmark.envelopes.tlog.checkpoint import Checkpoint

_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
_KEY = VerifierKey.parse(_VKEY)
_WITNESS = VerifierKey(_KEY.name, note.COSIGNATURE, _KEY.public)


def seeds() -> Iterable[bytes]:
    yield (
        b"This is an example message.\n\n\xe2\x80\x94 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTg"
        b"K7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    )
    made = note.Signature(_WITNESS.name, _WITNESS.key_id, bytes(72))
    text = "example.com/foo\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    yield Note(text, (made,)).encode()
    yield _VKEY.encode()


def run(data: bytes) -> None:
    with suppress(ChopmarkError):
        assert str(VerifierKey.parse(data.decode(errors="replace")))
    try:
        read = Note.parse(data)
    except ChopmarkError:
        return
    assert read.encode() == data
    try:
        read.verify([_KEY, _WITNESS])
        checkpoint = Checkpoint.parse(read.text)
    except ChopmarkError:
        return
    assert checkpoint.text == read.text
