"""Blocklists: what is never to be trusted, in every form that others publish them in."""
