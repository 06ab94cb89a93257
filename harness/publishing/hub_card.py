"""The model card of a repository on the Hub: read it, and propose a changed one as a pull request."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from harness.publishing.hub_change import change_hub, check_token
from zoo.errors import MissingError, SourceError, UsageError
from zoo.fetch.card_files import CARD
from zoo.fetch.hub import Hub
from zoo.fetch.source_types import HubRepo

TITLE = "Add scores measured by zoo"
DESCRIPTION = (
    "This adds results to `model-index`, with a `source` of their own. The results of the author are unchanged."
)
MAX_BYTES = 2_000_000
"""A longer card is not read."""


@dataclass(frozen=True, kw_only=True)
class HubCard:
    """The card of a repository at a commit."""

    repo: HubRepo
    commit: str
    text: str
    """Its text; empty if there is no card."""


def read_card(repo: HubRepo, hub: Hub | None = None) -> HubCard:
    """Return the card of a model's repository at its newest commit.

    Raises:
        SourceError: The Hub does not answer, or the repository is not accessible.
        UsageError: The card is too long, or not text.
    """
    hub = hub or Hub()
    commit = hub.commit(repo.without_revision)
    if CARD not in (listed := hub.listing(repo, commit)):
        return HubCard(repo=repo, commit=commit, text="")
    if listed[CARD].size > MAX_BYTES:
        raise UsageError(f"{repo.name}: {CARD} has {listed[CARD].size:,} bytes; at most {MAX_BYTES:,} are read")
    try:
        return HubCard(repo=repo, commit=commit, text=_text(hub.download(repo, commit, CARD)))
    except MissingError:
        return HubCard(repo=repo, commit=commit, text="")


def create_pull_request(card: HubCard, text: str) -> str:
    """Propose a changed card, and return the address of the pull request.

    Raises:
        UsageError: There is no token.
        SourceError: The Hub refuses.
    """
    check_token("--create-pr")
    hub = Hub()
    api = HfApi(endpoint=hub.endpoint)
    operation = CommitOperationAdd(path_in_repo=CARD, path_or_fileobj=text.encode())
    done = change_hub(
        hub,
        card.repo,
        "pull request",
        lambda: api.create_commit(
            repo_id=card.repo.name, operations=[operation], commit_message=TITLE, commit_description=DESCRIPTION,
            create_pr=True, parent_commit=card.commit,
        ),
    )  # fmt: skip
    if not done.pr_url:
        raise SourceError(f"{card.repo.name}: the Hub did not say which pull request it created")
    return str(done.pr_url)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{CARD} of the repository is not text in UTF-8") from None
