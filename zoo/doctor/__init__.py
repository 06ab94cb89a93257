"""Find what makes a recipe hard to reproduce. Sends no request once the recipe is downloaded, and imports no torch.

`zoo check` reports what cannot run; this reports what runs and may still mislead. Files of a repository are read only
if they are in the local cache.
"""

from zoo.doctor.claim_checks import CLAIM_CHECKS
from zoo.doctor.code_checks import CODE_CHECKS
from zoo.doctor.entry_facts import EntryFacts
from zoo.doctor.hazards import NAMES, Hazard, lines
from zoo.doctor.source_checks import SOURCE_CHECKS
from zoo.doctor.training_checks import TRAINING_CHECKS
from zoo.fetch.sources import Sources
from zoo.recipes.catalogue import Entry

__all__ = ["CHECKS", "NAMES", "Hazard", "examine", "lines"]

CHECKS = (*SOURCE_CHECKS, *TRAINING_CHECKS, *CLAIM_CHECKS, *CODE_CHECKS)
"""One check for each code, in the order of the codes."""


def examine(entry: Entry, sources: Sources) -> list[Hazard]:
    """Return all hazards of an entry, in the order of their lines.

    Args:
        entry: The entry.
        sources: The lock and the cache to look into.

    Raises:
        RecipeError: The recipe cannot be read.
    """
    facts = EntryFacts(entry, sources)
    hazards = [hazard for check in CHECKS for hazard in check(facts)]
    return sorted(dict.fromkeys(hazards), key=lambda hazard: (hazard.mark.line, hazard.mark.column, hazard.code))
