from pathlib import Path

import pytest

from chopmark.cli.settings import setting, words
from chopmark.core.errors import UsageError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder and a configuration folder."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "home" / "config").mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    return tmp_path


def test_order_is_command_line_variable_file_default(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert setting(None, "sign", "key", default="none") == "none"
    (project / "home" / "config" / "chopmark.toml").write_text('[sign]\nkey = "from home"\n')
    assert setting(None, "sign", "key") == "from home"
    (project / "work" / "chopmark.toml").write_text('[sign]\nkey = "from the project"\n')
    assert setting(None, "sign", "key") == "from the project"
    monkeypatch.setenv("CHOPMARK_KEY", "from the environment")
    assert setting(None, "sign", "key") == "from the environment"
    assert setting("given", "sign", "key") == "given"


def test_the_current_folder_never_says_whom_to_trust(project: Path) -> None:
    (project / "work" / "chopmark.toml").write_text('[verify]\nstore = "attacker.pem"\nrevocation = "off"\n')
    assert setting(None, "verify", "store", default="corp") == "corp"
    (project / "home" / "config" / "chopmark.toml").write_text('[verify]\nstore = "mine"\n')
    assert setting(None, "verify", "store") == "mine"


@pytest.mark.parametrize("text", ["[sign", "[sign]\nkey = \x01"])
def test_a_broken_file_is_a_usage_error(project: Path, text: str) -> None:
    (project / "work" / "chopmark.toml").write_text(text)
    with pytest.raises(UsageError):
        setting(None, "sign", "key")


def test_lists_and_words() -> None:
    assert words(["a", "b"]) == ["a", "b"]
    assert words("a, b,,c") == ["a", "b", "c"]
