"""`python -m chopmark` is `chopmark`."""

from chopmark.cli import entry

entry()
