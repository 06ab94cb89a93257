"""Choose the folders and the cache keys of the GitHub Action, and write them as outputs of the step.

Only downloads are cached. The runs of zoo lie in the temporary folder of the job, so every job measures anew.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

FOLDERS_OF_USERS = ("HF_HOME", "HF_HUB_CACHE", "ZOO_HOME")
"""Variables of a job that name folders of its own, in which the action neither caches nor deletes."""


def outputs(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the outputs of the step.

    `key` starts the keys of all caches of the same downloads. `action/tidy.py` appends a digest of the files.
    """
    own = Path(environment["RUNNER_TEMP"]) / "zoo-action"
    hugging_face = Path(environment.get("HF_HOME") or own / "huggingface")
    home = Path(environment.get("ZOO_HOME") or own / "zoo")
    hub = Path(environment.get("HF_HUB_CACHE") or hugging_face / "hub")
    caches = environment["INPUT_CACHE"] == "true" and not any(environment.get(name) for name in FOLDERS_OF_USERS)
    name = re.sub(r"[^\w.-]", "-", environment["INPUT_NAME"], flags=re.ASCII)[:100]
    system = environment["RUNNER_OS"]
    return {
        "hf-home": str(hugging_face),
        "hub": str(hub),
        "home": str(home),
        "downloads": str(home / "downloads"),
        "trusted": str(home / "trusted.json"),
        "pip": str(own / "pip"),
        "cache": str(caches).lower(),
        "key": f"zoo-{system}-{name}-{digest_of_downloads(environment)}-",
        "pip-key": f"zoo-pip-{system}-{digest_of_packages(environment)}",
    }


def digest_of_downloads(environment: Mapping[str, str]) -> str:
    """Return a digest of what decides which files zoo reads: the targets, the lock of this zoo, and the user's lock.

    The user's lock is the file that ZOO_LOCK or an argument names, as in `--lock zoo.lock`. Other arguments do not
    count: a pull request may verify some of the targets only, with the downloads of all.
    """
    named = [*re.split(r"[\s=\"']+", environment["INPUT_ARGUMENTS"]), environment.get("ZOO_LOCK", "")]
    locks = [Path(environment["ACTION_PATH"]) / "configs" / "zoo.lock", *map(Path, filter(None, named))]
    chosen = [environment[f"INPUT_{name}"] for name in ("TARGETS", "SUITE", "BASELINE")]
    return _digest([*(text.encode() for text in chosen), *filter(None, map(_content, locks))])


def digest_of_packages(environment: Mapping[str, str]) -> str:
    """Return a digest of what decides which packages pip downloads."""
    constraints = (Path(environment["ACTION_PATH"]) / "constraints.txt").read_bytes()
    return _digest([environment["INPUT_PYTHON_VERSION"].encode(), environment["INPUT_ZOO"].encode(), constraints])


def _content(path: Path) -> bytes:
    """Return the bytes of a file; none if it is no file: most arguments name none."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _digest(parts: list[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]


if __name__ == "__main__":
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in outputs(os.environ).items())
