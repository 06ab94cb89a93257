"""Write the summary of the GitHub Action as one comment on the pull request, or update the action's earlier comment."""

import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LIMIT = 65_536
"""GitHub's limit for the characters of a comment."""


def body(name: str, summary: str) -> str:
    """Return the comment: an invisible marker, by which the next job finds the comment, and the summary."""
    text = f"{marker(name)}\n{summary}"
    if len(text) <= LIMIT:
        return text
    note = "\n\nMore rows are in the summary of the job.\n"
    return text[: LIMIT - len(note)].rpartition("\n")[0] + note


def marker(name: str) -> str:
    """Return the first line of the comment."""
    return f"<!-- zoo-action {name.replace('--', '-').replace('>', '')} -->"


def write_comment(environment: Mapping[str, str]) -> str:
    """Write or update the comment; return a line for the log that says what was done.

    Only a comment of a bot that starts with the marker is updated, so that nobody else's comment is overwritten.
    """
    number = _pull_request(environment)
    summary = Path(environment["INPUT_REPORT"]) / "summary.md"
    if number is None or not summary.exists():
        return "No comment: this is not a pull request, or zoo did not run."
    text = body(environment["INPUT_NAME"], summary.read_text(encoding="utf-8"))
    repository = f"{environment['GITHUB_API_URL']}/repos/{environment['GITHUB_REPOSITORY']}"
    comments, token = f"{repository}/issues/{number}/comments", environment["INPUT_TOKEN"].strip()
    try:
        earlier = _earlier(comments, token, marker(environment["INPUT_NAME"]))
        if earlier is None:
            _request("POST", comments, token, {"body": text})
            return "Wrote the comment."
        _request("PATCH", f"{repository}/issues/comments/{earlier}", token, {"body": text})
    except urllib.error.HTTPError as error:
        error.close()
        reason = "the token may not write; a pull request of a fork has a token that only reads"
        reason = reason if error.code in {401, 403, 404} else str(error)
        return f"::notice title=zoo::No comment on the pull request: {reason}. The summary of the job has the table."
    except (OSError, ValueError, TypeError, http.client.HTTPException) as error:  # no answer of GitHub's API
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return f"::notice title=zoo::No comment on the pull request: {reason}. The summary of the job has the table."
    return "Updated the comment."


def _pull_request(environment: Mapping[str, str]) -> int | None:
    event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    number = event.get("pull_request", {}).get("number")
    return None if number is None else int(number)


def _earlier(comments: str, token: str, start: str) -> int | None:
    """Return the number of the action's comment. A page has at most 100 comments."""
    page = 1
    while found := _request("GET", f"{comments}?per_page=100&page={page}", token):
        if not isinstance(found, list):
            raise TypeError("the server does not answer with a list of comments")
        for comment in found:
            match comment:
                case {"id": int(number), "body": str(body), "user": {"type": "Bot"}} if body.startswith(start):
                    return number
        page += 1
    return None


def _request(method: str, url: str, token: str, content: Mapping[str, str] | None = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - the runner names the address
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - see above
        return json.load(answer)


if __name__ == "__main__":
    sys.stdout.write(write_comment(os.environ) + "\n")
