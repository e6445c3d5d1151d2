"""The first line of a script, by which the system finds the interpreter."""

from __future__ import annotations

from functools import lru_cache


def interpreter_of(head: bytes) -> str:
    """The program that a first line `#!...` names, without folders; empty when there is no such line.

    Through `env` it is the first word that is neither an option nor a variable (execve(2), env(1)). Without a program
    it is "?", and so is every character that cannot be printed.
    """
    if not head.startswith(b"#!"):
        return ""
    end = head.find(b"\n")
    return _named(head[2:] if end < 0 else head[2:end])


@lru_cache(maxsize=256)
def _named(line: bytes) -> str:
    words = line.decode("latin-1").replace("\0", " ").split()
    names = [word.rsplit("/", 1)[-1] for word in words]
    if names[:1] == ["env"]:
        names = [word for word in names[1:] if not word.startswith("-") and "=" not in word]
    return "".join(character if character.isprintable() else "?" for character in names[0]) if names else "?"
