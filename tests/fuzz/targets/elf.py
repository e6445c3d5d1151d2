"""The format elf: header, tables, trailer, and CMS behind the program."""

from tests.fuzz.formats import target

seeds, run = target("elf")
