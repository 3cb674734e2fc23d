"""Evidence files of logs in memory, and ways to spoil them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from lying import CITY_SIGNER, head_of, prove
from world import Log, signing_key

from ledger.chain_key import ChainKey
from ledger.checkpoint import sign_checkpoint
from ledger.cosignature import Cosigner
from ledger.evidence import Evidence, ProvenLeaf
from ledger.note import NoteSigner, SignedNote
from ledger.policy import Policy

TIME_S = 1_777_860_000
"""When witnesses cosign: 2026-05-04T02:00:00Z."""

WITNESSES = {name: Cosigner(f"{name}.test", signing_key(name)._key) for name in ("one", "two", "three")}

BELIEVED = Policy.of(CITY_SIGNER.vkey)
"""Whoever checks evidence of the city has this from elsewhere."""


def policy_of(quorum: int) -> Policy:
    """The policy that so many of the three witnesses have cosigned."""
    lines = [f"log {CITY_SIGNER.vkey}", *(f"witness {name} {one.vkey}" for name, one in WITNESSES.items())]
    lines += [f"group all-three {quorum} {' '.join(WITNESSES)}", "quorum all-three", ""]
    return Policy.parse("\n".join(lines).encode())


def leaf(log: Log, index: int, size: int | None = None) -> ProvenLeaf:
    """An entry of a log with its proof."""
    proven = prove(log, index, size)
    return ProvenLeaf(index, proven.entry, tuple(proven.inclusion_proof))


def evidence_of(
    log: Log,
    subject: ChainKey | bytes,
    told: Iterable[int],
    introductions: Iterable[int],
    *,
    signer: NoteSigner = CITY_SIGNER,
    witnesses: Iterable[str] = (),
    size: int | None = None,
) -> Evidence:
    """Evidence from these entries of a log, under its checkpoint of this size."""
    note = SignedNote.parse(sign_checkpoint(head_of(log, size), signer))
    cosigners = [WITNESSES[name] for name in witnesses]
    note = note.with_signatures(*(one.cosign(note.text, TIME_S) for one in cosigners))
    return Evidence(
        subject,
        (signer.vkey,),
        tuple(one.vkey for one in cosigners),
        note.encode(),
        tuple(leaf(log, index, size) for index in told),
        tuple(leaf(log, index, size) for index in introductions),
    )


def spelled(content: Any) -> bytes:
    """JSON as evidence files spell it."""
    return f"{json.dumps(content, ensure_ascii=False, indent=1)}\n".encode()
