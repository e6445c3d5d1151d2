"""The format catalog: anything may stand in such a file."""

from tests.fuzz.formats import target
from tests.support import der_trees

seeds, run = target("catalog")
mutate = der_trees.mutate
