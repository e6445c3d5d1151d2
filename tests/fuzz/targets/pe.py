"""The format pe: anything may stand in such a file."""

from tests.fuzz import fields
from tests.fuzz.formats import target
from tests.fuzz.repairs import pe

seeds, run = target("pe")
mutate = fields.Mutator(pe.fields, pe.VALUES)
