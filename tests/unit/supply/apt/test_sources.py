"""Which keys count for which repository: as apt's sources say, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from chopmark.core.errors import UsageError
from chopmark.supply import keyrings
from chopmark.supply.apt import sources
from tests.support import debs

KEY = Path(debs.keyring()).read_text()


@pytest.mark.parametrize(
    ("uri", "suite", "prefix"),
    [
        ("http://deb.debian.org/debian", "bookworm", "deb.debian.org_debian_dists_bookworm_"),
        ("http://deb.debian.org/debian/", "bookworm/updates", "deb.debian.org_debian_dists_bookworm_updates_"),
        ("https://user:secret@apt.example.org:8080/a_b~c", "x", "apt.example.org:8080_a%5fb%7ec_dists_x_"),
        ("file:/srv/repo", "./", "_srv_repo_._"),
        ("http://example.org/flat", "sub/", "example.org_flat_sub_"),
    ],
)
def test_lists_are_named_as_apt_names_them(uri: str, suite: str, prefix: str) -> None:
    assert sources.prefix_of(uri, suite) == prefix


@pytest.fixture
def host(tmp_path: Path) -> debs.Host:
    host = debs.Host(tmp_path)
    host.configure()
    return host


def known(host: debs.Host, prefix: str = debs.PREFIX) -> int:
    return len(sources.keys_for(prefix, sources.configured(str(host.root)), str(host.root)))


def test_the_key_of_a_source_is_for_its_repository_alone(host: debs.Host) -> None:
    assert known(host) == 1
    assert known(host, "other.example.org_debian_dists_example_") == 0


def test_keys_of_all_sources_are_for_those_that_name_none(host: debs.Host) -> None:
    host.write("etc/apt/trusted.gpg.d/example.asc", KEY)
    host.write("etc/apt/sources.list", "# no\ndeb [arch=amd64] http://other.example.org/debian example main\n")
    assert known(host, "other.example.org_debian_dists_example_") == 1


def test_a_line_names_its_key(host: debs.Host) -> None:
    path = "/usr/share/keyrings/example.asc"
    host.write("etc/apt/sources.list.d/x.list", f"deb [signed-by={path} arch=amd64] http://x.org/ y main\n")
    assert known(host, "x.org_dists_y_") == 1


def test_a_source_brings_its_key_along(host: debs.Host) -> None:
    inline = "".join(f" {line or '.'}\n" for line in KEY.splitlines())
    host.write("etc/apt/sources.list.d/x.sources", f"Types: deb\nURIs: http://x.org\nSuites: y z\nSigned-By:\n{inline}")
    assert known(host, "x.org_dists_y_") == known(host, "x.org_dists_z_") == 1


def test_a_source_names_a_fingerprint(host: debs.Host) -> None:
    holder = keyrings.keys_in([debs.keyring()]).every()[0].key.holder
    host.write("etc/apt/trusted.gpg.d/example.asc", KEY)
    for fingerprint, count in ((holder.upper(), 1), (holder + "!", 1), ("0" * 40, 0)):
        host.write(
            "etc/apt/sources.list.d/x.sources", f"Types: deb\nURIs: http://x.org\nSuites: y\nSigned-By: {fingerprint}\n"
        )
        assert known(host, "x.org_dists_y_") == count


def test_keys_that_are_none_are_told(host: debs.Host) -> None:
    host.write("usr/share/keyrings/example.asc", "nothing")
    with pytest.raises(UsageError):
        known(host)
    (host.root / "usr/share/keyrings/example.asc").unlink()
    with pytest.raises(UsageError):
        known(host)


def test_sources_that_cannot_be_read_bring_no_key(host: debs.Host) -> None:
    host.write("etc/apt/sources.list.d/example.sources", "nonsense")
    host.write("etc/apt/sources.list.d/other", "deb http://deb.example.org/debian example main")
    assert known(host) == 0
