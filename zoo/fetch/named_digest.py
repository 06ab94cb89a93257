"""The first digits of a file's SHA-256 that its publisher writes into its name."""

import re
from urllib.parse import urlsplit

from zoo.fetch.lock import FilePin
from zoo.fetch.source_types import Url

PYTORCH = "download.pytorch.org"
NAMED_DIGEST = re.compile(r"[-_]([0-9a-f]{8,64})\.pth$")
"""Ends the names of PyTorch's weights. Mostly a hyphen and 8 digits; some files have 10, those of quantized weights an
underscore."""


def pin_in_name(url: Url) -> FilePin:
    """Return what the name of a file says about its bytes; an empty pin for other servers than PyTorch's."""
    parts = urlsplit(url.url)
    found = NAMED_DIGEST.search(parts.path) if parts.hostname == PYTORCH else None
    return FilePin(sha256_prefix=found[1]) if found else FilePin()
