"""Run git in a repository of a test."""

import subprocess
from pathlib import Path


def git(root: Path, *arguments: str) -> None:
    """Run a git command as an author whom no configuration names."""
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", root, *who, *arguments], check=True, capture_output=True)
