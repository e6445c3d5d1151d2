"""Repositories as apt reads them: a signed release leads to lists of packages, and these to each package."""
