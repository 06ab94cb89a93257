"""The files of certificates that the environment names."""

import os
import ssl
from functools import lru_cache
from pathlib import Path

from zoo.errors import SourceError

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Environment variables that name a file of certificates; the first that is set counts."""


def certificate_file() -> str | None:
    """Return the file of certificates that the environment names, or None if it names none.

    Raises:
        SourceError: A file or folder that the environment names does not exist or holds no certificates.
    """
    for name in (*CERTIFICATES, "SSL_CERT_DIR"):
        if value := os.environ.get(name):
            path = Path(value)
            _check(name, path, path.stat().st_mtime_ns if path.exists() else None)
    return next(filter(None, map(os.environ.get, CERTIFICATES)), None)


@lru_cache  # reading hundreds of certificates takes longer than most requests
def _check(name: str, path: Path, changed: int | None) -> None:
    hint = f"correct {name}, or unset it to use the usual certificates"
    if not path.exists():
        raise SourceError(f"{name} is {str(path)!r}, which does not exist; {hint}")
    if name == "SSL_CERT_FILE" and path.is_dir():
        raise SourceError(f"{name} is {str(path)!r}, which is a folder; set SSL_CERT_DIR to it instead, or {hint}")
    try:
        ssl.create_default_context(cafile=None if path.is_dir() else path, capath=path if path.is_dir() else None)
    except OSError as error:
        raise SourceError(f"{name} is {str(path)!r}, which holds no certificates ({error.strerror}); {hint}") from None
