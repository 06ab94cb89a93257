"""Keep libraries from the network: only zoo's own fetcher, which verifies every file, talks to it."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub import constants

NO_CACHE = "/nonexistent/zoo-offline"
"""A cache without files: a library could otherwise load by name what another program has downloaded."""


@contextmanager
def offline() -> Iterator[None]:
    """Forbid the Hub's client library to send requests and to read its cache, and transformers to ask for consent."""
    before = constants.HF_HUB_OFFLINE, constants.HF_HUB_CACHE
    never_ask_for_consent()
    constants.HF_HUB_OFFLINE, constants.HF_HUB_CACHE = True, NO_CACHE
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, constants.HF_HUB_CACHE = before


def never_ask_for_consent() -> None:
    """Let transformers refuse code of a repository at once, instead of asking on the terminal whether to run it."""
    if "transformers" in sys.modules:
        settings: Any = importlib.import_module("transformers.dynamic_module_utils")
        settings.TIME_OUT_REMOTE_CODE = 0
