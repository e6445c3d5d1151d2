"""The format elf: header, tables, trailer, and CMS behind the program."""

from tests.fuzz import fields
from tests.fuzz.formats import target
from tests.fuzz.repairs import elf

seeds, run = target("elf")
mutate = fields.Mutator(elf.fields, elf.VALUES)
