"""What makes a recipe hard to reproduce. Asks nobody, once it has the recipe, and imports no torch.

`zoo check` says what cannot run; this says what runs and may still mislead. Files are looked at only where they are in
the local cache.
"""

from zoo.doctor.case import Case
from zoo.doctor.hazards import NAMES, Hazard, lines
from zoo.doctor.looks import LOOKS
from zoo.fetch.sources import Sources
from zoo.recipes.catalogue import Entry

__all__ = ["NAMES", "Hazard", "examine", "lines"]


def examine(entry: Entry, sources: Sources) -> list[Hazard]:
    """All hazards of an entry, in the order of their lines; raises RecipeError for a recipe that cannot be read."""
    case = Case(entry, sources)
    found = [hazard for look in LOOKS for hazard in look(case)]
    return sorted(dict.fromkeys(found), key=lambda one: (one.mark.line, one.mark.column, one.code))
