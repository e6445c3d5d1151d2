"""The format unit: anything may stand in such a file."""

from tests.fuzz.formats import target

seeds, run = target("unit")
