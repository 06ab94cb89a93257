"""How transformers computes attention: recipes choose it, without code that transformers would load from the Hub."""

from importlib.util import find_spec
from typing import Literal

from transformers.utils import is_flash_attn_2_available

from zoo.errors import UsageError

Attention = Literal["eager", "sdpa", "flex_attention", "flash_attention_2"]


def flash_attention_problem(name: str) -> str | None:
    """Return why a version of flash attention cannot be used here, or None.

    If its package is missing, transformers would load a kernel of the Hub instead, which nobody verifies.
    """
    if name != "flash_attention_2":
        return f"{name} is not supported; write flash_attention_2, sdpa or eager"
    if is_flash_attn_2_available():
        return None
    if find_spec("flash_attn") is None:
        return f"{name} needs the package flash-attn, which is not installed; install it, or write sdpa or eager"
    return f"{name} needs an NVIDIA GPU and version 2.3.3 or newer of flash-attn; write sdpa or eager instead"


def check_attention(name: Attention | None) -> None:
    """Raise UsageError if this kind of attention cannot be used here."""
    if name is not None and name.startswith("flash_attention") and (problem := flash_attention_problem(name)):
        raise UsageError(f"attn_implementation: {problem}")
