"""Nouns and contracts: what every other room speaks in.

Standard library only, no I/O beyond opening and atomically replacing one file, no ASN.1, no opinion about trust.
"""
