"""The format kmod: trailer, ELF, compression, and CMS without attributes."""

from tests.fuzz.formats import target

seeds, run = target("kmod")
