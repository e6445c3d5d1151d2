"""Numbers of things, in words for people."""


def counted(number: int, thing: str, several: str = "") -> str:
    """A number with what is counted: "1 file", "2 files"; `several` where that is more than an s behind it."""
    return f"{number} {thing if number == 1 else several or f'{thing}s'}"
