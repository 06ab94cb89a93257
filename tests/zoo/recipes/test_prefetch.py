"""Everything that entries read, fetched before they run elsewhere."""

from tests.helpers.project import TINY, Write
from zoo.api.session import Session
from zoo.errors import NoFileError
from zoo.recipes import catalogue
from zoo.recipes.options import SourceOptions
from zoo.recipes.prefetch import DownloadSize, prefetch_entries


def test_the_error_of_an_entry_does_not_stop_the_others(recipe_file: Write) -> None:
    shipped = catalogue.select_one("digits-resnet8")
    lacking = catalogue.local(recipe_file(TINY + "weights: file:missing.pt\n"))
    builder = Session(sources=SourceOptions()).builder([shipped, lacking])
    sizes: list[DownloadSize] = []
    errors = prefetch_entries([shipped, lacking], builder, train=True, started=sizes.append)
    assert list(errors) == [lacking]
    assert isinstance(errors[lacking], NoFileError)
    assert "missing.pt" in str(errors[lacking])
    assert sizes == [DownloadSize(known=0, unknown=0)]
