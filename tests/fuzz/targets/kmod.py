"""The format kmod: trailer, ELF, compression, and CMS without attributes."""

from tests.fuzz import fields
from tests.fuzz.formats import target
from tests.fuzz.repairs import elf

seeds, run = target("kmod")
mutate = fields.Mutator(elf.fields, elf.VALUES)
