"""Keep libraries from the network: only zoo's own fetcher, which verifies every file, talks to it."""

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub import constants


class _OfflineHere:
    """A value of HF_HUB_OFFLINE that is true in the threads that are offline, so that others can go on fetching."""

    def __init__(self, everywhere: Any) -> None:
        self.everywhere, self.threads = everywhere, list[int]()

    def __bool__(self) -> bool:
        return bool(self.everywhere) or threading.get_ident() in self.threads


_lock = threading.Lock()


@contextmanager
def offline() -> Iterator[None]:
    """Forbid requests of the Hub's client in this thread; transformers may not ask for consent or load kernels."""
    never_ask_for_consent()
    never_load_kernels()
    thread = threading.get_ident()
    with _lock:
        before: Any = constants.HF_HUB_OFFLINE
        flag = before if isinstance(before, _OfflineHere) else _OfflineHere(before)
        flag.threads.append(thread)
        vars(constants)["HF_HUB_OFFLINE"] = flag
    try:
        yield
    finally:
        with _lock:
            flag.threads.remove(thread)
            if not flag.threads and vars(constants)["HF_HUB_OFFLINE"] is flag:
                vars(constants)["HF_HUB_OFFLINE"] = flag.everywhere


def never_ask_for_consent() -> None:
    """Let transformers refuse code of a repository at once, instead of asking on the terminal whether to run it."""
    if "transformers" in sys.modules:
        settings: Any = importlib.import_module("transformers.dynamic_module_utils")
        settings.TIME_OUT_REMOTE_CODE = 0


def never_load_kernels() -> None:
    """Let transformers load no kernel of the Hub, not even one in the cache: it is code that nobody verified.

    This holds until the process ends, because some models load kernels in their first forward pass.
    """
    if "transformers" in sys.modules:
        kernels: Any = importlib.import_module("transformers.integrations.hub_kernels")
        kernels.get_kernel = _refuse_kernel


def _refuse_kernel(kernel_name: str, *_: Any, **__: Any) -> None:
    """Raise the error after which transformers computes without a kernel that it only prefers."""
    raise FileNotFoundError(f"the kernel {kernel_name} is code of the Hub, which zoo does not load")
