"""A sale on its way into the ledger, so that neither a crash nor a lost answer costs the buyer the purchase key.

The purchase key is in no other place than the merchant's process until the buyer has the token, and the sale names it
for good. So both are on the disk before the sale is sent:

    1. `<token file>.pending` is written: the signed sale and the purchase key.
    2. The sale is sent. Refused: the file is deleted, and the key with it.
    3. The token is written beside it and given its name; then the pending file is deleted.

Whatever happens in between, what is left is either nothing, or the pending file, or the token with or without the
pending file. The pending file is no token, and resuming sends the very same envelope: the ledger records it once.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from clients.new_file import file_refusal, move_to_new, write_private
from clients.purchase_token import PurchaseToken
from ledger.envelope import Envelope
from ledger.errors import BadInput
from ledger.event import Event, Kind
from ledger.keys import PrivateKey

FORMAT = "suyuan-pending-sale-v1"
_SUFFIX = ".pending"
_DRAFT_SUFFIX = ".part"
_MAX_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class PendingSale:
    """A signed sale that may or may not be recorded, with the purchase key that it names."""

    envelope: Envelope
    event: Event
    key: PrivateKey = field(repr=False)
    token_path: Path
    """Where the token goes."""

    @classmethod
    def begin(cls, envelope: Envelope, key: PrivateKey, token_path: Path) -> PendingSale:
        """Put a sale on the disk that is about to be sent.

        Raises:
            BadInput: `INVALID_REQUEST` if the token's file or the pending file is there already, or cannot be written.
        """
        pending = cls(envelope, Event.parse(envelope.payload), key, token_path)
        if token_path.exists():
            raise file_refusal(token_path, "a file that exists", "a new file for the token")
        if pending.path.exists():
            expected = "none, or to finish that sale with --resume"
            raise file_refusal(pending.path, "a sale that was not finished", expected)
        record = {
            "format": FORMAT,
            "envelope": b64encode(envelope.raw).decode("ascii"),
            "key": b64encode(key.to_pem()).decode("ascii"),
        }
        write_private(pending.path, f"{json.dumps(record)}\n".encode())
        return pending

    @classmethod
    def resume(cls, path: Path) -> PendingSale:
        """Take up a sale from its pending file.

        Raises:
            BadInput: `INVALID_REQUEST` if it is none.
        """
        expected = f"the {_SUFFIX} file of a sale that was not finished"
        if path.suffix != _SUFFIX:
            raise file_refusal(path, "another name", expected)
        try:
            with path.open("rb") as file:
                record = json.loads(file.read(_MAX_BYTES))
            if record["format"] != FORMAT:
                raise ValueError  # noqa: TRY301 - one message for all
            envelope = Envelope.parse(b64decode(record["envelope"], validate=True))
            key = PrivateKey.from_pem(b64decode(record["key"], validate=True))
            event = Event.parse(envelope.payload)
            if event.kind is not Kind.SALE or event.message.sale.buyer_key != key.public_key.spki:
                raise ValueError  # noqa: TRY301 - one message for all
        except OSError as error:
            raise file_refusal(path, error.strerror, expected) from error
        except (ValueError, KeyError, TypeError, BadInput):
            # Nothing of what is in the file belongs into a message.
            raise file_refusal(path, "something else", expected) from None
        return cls(envelope, event, key, path.with_suffix(""))

    @property
    def path(self) -> Path:
        """The pending file."""
        return self.token_path.with_name(self.token_path.name + _SUFFIX)

    @property
    def token(self) -> PurchaseToken:
        """What the buyer gets once the sale is recorded."""
        return PurchaseToken(self.event.id, self.key)

    def discard(self) -> None:
        """Forget a sale that was refused, and its key."""
        self.path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Hand out the token of a sale that is recorded; no copy is left.

        Raises:
            BadInput: `INVALID_REQUEST` if the token's file cannot be written; the pending file is kept then.
        """
        draft = self.token_path.with_name(self.token_path.name + _DRAFT_SUFFIX)
        # What a crash has left of an earlier try.
        with suppress(OSError):
            draft.unlink()
        content = f"{self.token.text()}\n".encode()
        write_private(draft, content)
        try:
            move_to_new(draft, self.token_path)
        except BadInput:
            with suppress(OSError):
                draft.unlink()
            if not _holds(self.token_path, content):
                raise
        self.discard()


def _holds(path: Path, content: bytes) -> bool:
    """Whether a file is what an earlier try has written: it crashed before it deleted the pending file."""
    try:
        with path.open("rb") as file:
            return file.read(len(content) + 1) == content
    except OSError:
        return False
