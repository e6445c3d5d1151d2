"""Signatures in git repositories: commits, tags and pushes judged, and made."""
