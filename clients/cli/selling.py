"""A sale and the token that makes its buyer the buyer; see `clients.pending_sale` for what a crash leaves behind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import typer

from clients.answers import Appended
from clients.cli.recording import Draft, await_witnesses, send, tell
from clients.cli.session import Signing
from clients.cli.status import Status
from clients.events import Commitment
from clients.keyfile import generate
from clients.new_file import file_refusal, move_to_new
from clients.pending_sale import PendingSale
from clients.purchase_token import PurchaseToken
from ledger.chain_key import ChainKey
from suyuan.v1 import event_pb2 as pb

_PICTURES: Final = (".png", ".svg", ".pdf")


def sell(
    session: Signing,
    chain: ChainKey,
    *,
    quantity: int,
    order: Commitment | None,
    token: Path,
    qr: Path | None,
) -> None:
    """Make a purchase key, record the sale, and hand out the token.

    Raises:
        BadInput: a file is in the way, or cannot be written; nothing was sent then.
        ServiceFault: no answer came; the sale is kept in the pending file.
        BrokenProof: the answer did not verify; likewise.
    """
    _require_new_picture(qr)
    key = generate()
    body = pb.Sale(
        buyer_key=key.public_key.spki,
        quantity=quantity,
        order_commitment=b"" if order is None else order.digest,
    )
    draft = Draft.write(session, "sale", chain, body, order)
    # Nobody there is found out before anything is on the disk.
    session.client.checkpoint()
    pending = PendingSale.begin(draft.envelope, key, token)
    if order is not None:
        session.texts.keep(draft.event, order)
    _deliver(session, pending, draft, qr)


def resume(session: Signing, path: Path, qr: Path | None) -> None:
    """Take up a sale of which no answer came.

    Raises:
        as `sell`.
    """
    _require_new_picture(qr)
    pending = PendingSale.resume(path)
    _deliver(session, pending, Draft("sale", pending.event, pending.envelope), qr)


def _deliver(session: Signing, pending: PendingSale, draft: Draft, qr: Path | None) -> None:
    try:
        [result] = send(session.client, [draft])
        if isinstance(result, Appended):
            if qr is not None:
                _write_qr(pending.token, qr)
            pending.finish()
    except BaseException:
        session.out.note(
            f"The sale is not finished: it is kept in {pending.path}, with the purchase key.\n"
            f"Finish it with: suyuan merchant sell --resume {pending.path}"
        )
        raise
    if isinstance(result, Appended):
        files = {"token_file": str(pending.token_path), "qr_file": None if qr is None else str(qr)}
        tell(session, draft, result, files)
        await_witnesses(session, [result])
        return
    pending.discard()
    session.texts.forget(draft.event.id)
    tell(session, draft, result)
    raise typer.Exit(Status.REFUSED)


def _require_new_picture(path: Path | None) -> None:
    if path is None:
        return
    if path.suffix.lower() not in _PICTURES:
        raise file_refusal(path, f"suffix {path.suffix or 'none'}", ".png, .svg or .pdf")
    if path.exists():
        raise file_refusal(path, "a file that exists", "a new file for the QR code")


def _write_qr(token: PurchaseToken, path: Path) -> None:
    """Draw the token where only its owner may read it."""
    from scanner.labels import write_label  # noqa: PLC0415 - drawing takes long to load
    from scanner.symbol import Symbology  # noqa: PLC0415 - as above

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".qr-") as folder:
        draft = Path(folder) / f"token{path.suffix.lower()}"
        write_label(draft, token.text(), Symbology.QR_CODE)
        draft.chmod(0o600)
        move_to_new(draft, path)
