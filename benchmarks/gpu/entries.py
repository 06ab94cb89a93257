"""The part that verifies the 27 entries of GLUE, with made weights and rows, from a Hub on loopback."""

import json
import threading
from pathlib import Path
from typing import Any

from benchmarks.gpu.local_hub import serving
from benchmarks.gpu.made_entries import HUB, selected
from benchmarks.gpu.session import NotRunError, Session

PART = "entries"
PRECISIONS = ("bf16", "fp32")
"""fp32 is verified only if time is left."""


class Preparation:
    """Makes weights, rows and tokens in a process of its own."""

    def __init__(self, session: Session, address: str) -> None:
        self.folder = session.folder / PART
        self.environment = {
            "HF_ENDPOINT": address, "HF_HUB_CACHE": str(self.folder / "cache"), "ZOO_HOME": str(self.folder / "home"),
            "ZOO_LOCK": str(self.folder / "zoo.lock"), "HF_HUB_OFFLINE": "0",
        }  # fmt: skip
        self.log = self.folder / "made.log"
        self.code: int | None = None
        quick = ["--quick"] if session.quick else []
        command: list[str | Path] = ["benchmarks.gpu.made_entries", self.folder, *quick]
        self._thread = threading.Thread(target=self._make, args=(session, command), daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until the process ends."""
        self._thread.join()

    def check(self) -> None:
        """Raise NotRunError with the reason if not everything was made."""
        if self.code is None:
            raise NotRunError("out of time while the weights were made")
        if self.code:
            lines = self.log.with_suffix(".err").read_text(encoding="utf-8").splitlines()
            raise NotRunError((lines or [f"the preparation ended with exit code {self.code}"])[-1][-200:])

    def _make(self, session: Session, command: list[str | Path]) -> None:
        self.code, _ = session.run(command, self.log, **self.environment)


def start_preparation(session: Session) -> Preparation:
    """Serve the Hub until the session ends, and make what it has in the background; only once."""
    if session.preparation is None:
        hub = session.folder / PART / HUB
        hub.mkdir(parents=True)
        session.preparation = Preparation(session, session.stack.enter_context(serving(hub)))
    return session.preparation


def wait_for_preparation(session: Session) -> None:
    """Wait for what was started in the background, so that it disturbs no measurement."""
    if session.preparation is not None:
        session.preparation.join()


def verify_entries(session: Session) -> None:
    """Verify all entries in one command, in each precision, and save its time and where it goes.

    Raises:
        NotRunError: The weights and rows could not be made.
    """
    preparation = start_preparation(session)
    preparation.join()
    preparation.check()
    rows: list[dict[str, Any]] = []
    for precision in PRECISIONS:
        if not session.seconds_left:
            rows.append({"precision": precision, "not_run": "out of time"})
        else:
            rows.append(_verify(session, preparation, precision))
        session.save(PART, rows=rows)


def _verify(session: Session, preparation: Preparation, precision: str) -> dict[str, Any]:
    entries = selected(quick=session.quick)
    folder: Path = preparation.folder / precision
    out, phases = folder / "out.json", folder / "phases.json"
    code, seconds = session.run(
        ["benchmarks.gpu.timed_verify", phases, *(entry.name for entry in entries), "--device", session.device,
         "--precision", precision, "--records", folder / "records", "--fail-on", "none", "--json"],
        out, **preparation.environment,
    )  # fmt: skip
    finished = len(list((folder / "records").glob("*/*/record.json")))
    row: dict[str, Any] = {"precision": precision, "entries": len(entries), "finished": finished}
    if code is None:
        return row | {"cut_off": seconds}
    if finished < len(entries):
        lines = out.with_suffix(".err").read_text(encoding="utf-8").splitlines()
        row["failed"] = [line[-200:] for line in lines if "trusted on first use" not in line][-3:]
    return row | {"seconds": seconds, "phases": json.loads(phases.read_text(encoding="utf-8"))}
