"""The texts that events commit to, kept by those who wrote them.

    <state>/texts/<event id>.json    {"event": …, "chain": …, "kind": …, "text": …, "salt": …, "commitment": …}

Salt and text prove what was said: SHA-256(salt ‖ text) is the commitment that the ledger holds. Whoever loses this file
can no longer prove it, and whoever deletes it has erased the text for good: that is why the ledger does not hold it.

A text is kept before its event is sent. After a crash in between there is at worst a text too many, never one too few.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from clients.events import Commitment
from clients.new_file import file_refusal, write_private
from ledger.event import Event


@dataclass(frozen=True, slots=True)
class TextFolder:
    """Where a user's texts are kept."""

    folder: Path

    def path(self, event_id: bytes) -> Path:
        """The file for an event."""
        return self.folder / f"{event_id.hex()}.json"

    def keep(self, event: Event, commitment: Commitment) -> Path:
        """Keep the text that an event commits to.

        Raises:
            BadInput: `INVALID_REQUEST` if the folder cannot be written to.
        """
        path = self.path(event.id)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise file_refusal(self.folder, error.strerror, "a folder that can be made") from error
        record = {
            "event": event.id.hex(),
            "chain": str(event.chain),
            "kind": event.kind,
            "text": commitment.text,
            "salt": commitment.salt.hex(),
            "commitment": commitment.digest.hex(),
        }
        write_private(path, f"{json.dumps(record, ensure_ascii=False, indent=2)}\n".encode())
        return path

    def forget(self, event_id: bytes) -> None:
        """Delete the text of an event that was refused."""
        self.path(event_id).unlink(missing_ok=True)
