"""Revocation lists, from the register to files that others fetch: contents, DER, where they lie, when they are due."""
