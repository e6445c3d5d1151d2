"""What fuzzers mend: files around other signatures, and signatures that hold over what was changed."""

from __future__ import annotations

import pytest

from chopmark.core.verdict import Status
from chopmark.engine import check
from tests.fuzz.repairs import cms as repairs
from tests.fuzz.targets import enveloped
from tests.support import pki


@pytest.mark.parametrize("number", range(len(enveloped.FILES)), ids=lambda number: enveloped.FILES[number].format)
def test_a_signature_made_anew_holds_where_the_old_one_stood(number: int) -> None:
    file, message = enveloped.FILES[number], enveloped.MESSAGES[number]
    court = enveloped.COURTS[file.format in enveloped.BARE]
    assert file.with_signature(file.signature) == file.state
    wrong = file.signature[:-1] + bytes([file.signature[-1] ^ 1])
    again = repairs.signed_again(wrong, pki.world().signer, message)
    assert again != wrong
    for signature, status, holds in ((again, Status.TRUSTED, True), (wrong, Status.REJECTED, False)):
        state = file.with_signature(signature)
        assert check.check(state.artifact(), court, state.asked).status is status
        assert enveloped.signs(signature, file.format, message) is holds
    assert not enveloped.signs(again, file.format, bytes(32))
