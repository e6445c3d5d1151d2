"""Whatever the rules, no export allows what the policy does not, by a naive reading of what was exported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chopmark.core import discovery
from chopmark.harden import reasons
from chopmark.harden.contract import CONDITIONS, TRAITS, Degree, Enforcer, Exporter, WiderError
from chopmark.harden.material import Material
from tests.support import hardening, policies

if TYPE_CHECKING:
    from chopmark.harden.contract import Export, Request

BACKENDS: dict[str, Enforcer] = {each.name: each for each in discovery.exported("chopmark.harden", "BACKEND").values()}
EXPORTERS = sorted(name for name, each in BACKENDS.items() if isinstance(each, Exporter))
_RULES = {
    reasons.EXACT,
    reasons.NARROWED,
    reasons.DROPPED,
    reasons.IDLE,
    reasons.EXPIRED,
    reasons.WIDER,
    reasons.LEFT_OUT,
}
USUAL: list[list[dict[str, Any]]] = [
    [],
    [{"action": "allow", "store": "corp"}],
    [{"action": "allow", "ca": policies.DIGESTS[4:]}],
    [{"action": "allow", "signer": policies.DIGESTS[1]}],
]
"""What policies begin with, so that something is allowed."""
WINDOWS = {"applocker", "app-control"}
OPTIONS = {"applocker": {"publishers": ""}}
OF_RULES = {each.code for each in _RULES}


def exported(backend: Exporter, asked: Request) -> tuple[Request, Export] | None:
    """Refused rules are left out one after the other, as somebody would; None where nothing remains."""
    for _ in range(len(asked.rules) + 1):
        try:
            return asked, backend.export(asked)
        except WiderError as error:
            refused = {each.subject for each in error.findings if each.code == reasons.WIDER.code}
            if not refused:
                return None
            asked = asked._replace(left_out=asked.left_out | refused)
    raise AssertionError("it is refused although all is left out")


@pytest.mark.parametrize("name", EXPORTERS)
def test_never_wider(name: str) -> None:
    backend, reader = BACKENDS[name], hardening.READERS[name]
    assert isinstance(backend, Exporter)
    let_through = []

    # Another round has to be another one, in CI too.
    @settings(max_examples=100, derandomize=False, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(policies.rules(), min_size=1, max_size=4), st.data())
    def law(rules: list[dict[str, Any]], data: st.DataObject) -> None:
        rules = [*data.draw(st.sampled_from(USUAL)), *rules]
        uses = frozenset(data.draw(st.sampled_from([(), *((kind,) for kind in sorted(backend.governs))])))
        views = hardening.views(sorted(uses or backend.governs))
        known = {view.file.sha256: view for view in data.draw(st.lists(views, max_size=3)) if view.file.sha256}
        material = Material(hardening.IDENTITIES, tuple(map(hardening.at_hand, known.values())))
        options = OPTIONS.get(name, {})
        made = exported(backend, hardening.request(rules, uses=uses, material=material, options=options))
        if made is None:
            return
        asked, export = made
        told = [each for each in export.findings if each.code in OF_RULES]
        assert sorted(each.subject for each in told) == sorted(str(rule.place) for rule in asked.rules)
        files = {each.path: each.data for each in export.files}
        for _ in range(4):
            view = data.draw(views)
            content = data.draw(st.sampled_from(["", *sorted(known)]))
            if content:
                view = view._replace(file=view.file._replace(sha256=content))
            view = hardening.of_content(view, known)
            if name in WINDOWS and not hardening.told_by_windows(view):
                continue
            if reader(files, view, asked.options):
                let_through.append(view)
                assert hardening.allowed(asked, view), (rules, view, files)

    for _ in range(8):  # chance may have it that a round lets hardly anything through
        law()
        if len(let_through) > 5:
            break
    assert len(let_through) > 5, "nearly nothing was allowed, so that nearly nothing was tried"


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_capabilities_are_told_for_everything(name: str) -> None:
    table = BACKENDS[name].capabilities()
    assert table.keys() == CONDITIONS.keys() | TRAITS.keys()
    for key, cell in table.items():
        if not key.startswith("mode") and name != "guard":
            assert cell.sentence or cell.allow is Degree.EXACT, key
    assert BACKENDS[name].title


@pytest.mark.parametrize("name", EXPORTERS)
def test_the_same_policy_gives_the_same_bytes(name: str) -> None:
    backend = BACKENDS[name]
    assert isinstance(backend, Exporter)
    asked = hardening.request([{"action": "allow", "store": "corp"}, {"action": "allow", "ca": f"sha256:{'e' * 64}"}])
    made = [exported(backend, asked) for _ in range(2)]
    assert made[0] == made[1]
