"""Hide what a bug report must not have: the home folder, the user's name, passwords and tokens."""

import os
import re
from pathlib import Path

HIDDEN = "***"
SECRET_NAME = re.compile(r"TOKEN(?!IZERS)|SECRET|PASSW|PASSPHRASE|PWD|KEY|CREDENTIAL|AUTH|COOKIE|LOGIN", re.IGNORECASE)
"""Matches the names of environment variables whose values are secret."""
_USER_IN_URL = re.compile(r"(?<=//)\S*@")
_USER_IN_PROXY = re.compile(r"^(?!.*//)\S*@")
_SECRET_IN_QUERY = re.compile(
    r"([?&;#][^=&;\s]*(?:token|key|secret|passw|pwd|sig|auth|cred)[^=&;\s]*=)[^&;\s]+", re.IGNORECASE
)
_TOKEN = re.compile(r"\b(?:hf|api|ghp|gho|ghs|github_pat|glpat|sk|xox[abp])[-_][A-Za-z0-9_.-]{8,}")
NEXT = r"(?=[/\\:;,\s]|$)"
"""Matches the character after a part of a path, or the end of the text."""


def without_secrets(text: str) -> str:
    """Return a text with `~` for the home folder, `USER` for its owner, and `***` for passwords and tokens."""
    for folder in dict.fromkeys((os.path.realpath(Path.home()), str(Path.home()))):
        if len(Path(folder).parts) > 1:  # a home folder of `/` is in every path
            text = re.sub(rf"(?<![^:;,\s=]){re.escape(folder)}{NEXT}", "~", text)
    if len(Path.home().parts) > 2:  # /home/NAME, not /root
        text = re.sub(rf"(?<=[/\\]){re.escape(Path.home().name)}{NEXT}", "USER", text)
    for pattern, replacement in ((_USER_IN_URL, f"{HIDDEN}@"), (_SECRET_IN_QUERY, rf"\1{HIDDEN}"), (_TOKEN, HIDDEN)):
        text = pattern.sub(replacement, text)
    return text


def variable_without_secrets(name: str, value: str) -> str:
    """Return the value of an environment variable, without secrets; `***` for a variable that holds a secret."""
    if SECRET_NAME.search(name):
        return HIDDEN if value else value
    if name.lower().endswith("_proxy"):
        value = _USER_IN_PROXY.sub(f"{HIDDEN}@", value)
    return without_secrets(value)
