"""chopmark signs what you ship, checks what you get, and lets nothing else run."""

__version__ = "0.1.0"
