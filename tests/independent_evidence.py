"""A verifier for evidence files, written from docs/evidence.md alone.

Like `independent_verify`, from which it has entries, notes and rules, it uses nothing of the project. It takes one key
of the log and no policy of witnesses.
"""

from __future__ import annotations

import json
import re
from typing import Any

from independent_verify import (
    MERCHANT,
    PARCEL_CHAINS,
    PRODUCT_CHAINS,
    Event,
    Refused,
    Verifier,
    chain_kind,
    company_of,
    digest,
    need,
    open_checkpoint,
    product_of,
    read_note,
    take_apart,
    unbase64,
)

KEYS = ["format", "origin", "subject", "log_keys", "witness_keys", "checkpoint", "entries", "introductions"]
INTRODUCING = {16, 18, 19, 33}


def spelled(content: Any) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def read_file(raw: bytes) -> dict[str, Any]:
    """§1."""
    need(len(raw) <= 67_108_864, "the file is too large")
    need(sum(map(raw.count, (b",", b"[", b"{"))) <= 1_500_000, "the file has too many values")
    try:
        content = json.loads(raw)
        need(spelled(content) == raw, "the file is spelled in another way")
    except (ValueError, RecursionError):
        raise Refused("the file is not JSON") from None
    need(isinstance(content, dict) and list(content) == KEYS, "the file has other keys")
    need(content["format"] == "suyuan-evidence/1", "the file is of another format")
    subject = content["subject"]
    need(isinstance(subject, dict) and len(subject) == 1, "the subject is not one thing")
    [(kind, value)] = subject.items()
    need(isinstance(value, str), "the subject is not a text")
    right = {"chain": chain_kind, "sale": lambda text: re.fullmatch("[0-9a-f]{64}", text)}
    need(kind in right and right[kind](value), "the subject is none")
    for name, least, most in ("log_keys", 1, 16), ("witness_keys", 0, 100):
        keys = content[name]
        need(isinstance(keys, list) and all(isinstance(key, str) for key in keys), "the keys are not texts")
        need(
            least <= len(keys) <= most and len(set(keys)) == len(keys),
            "there are too many keys, or one twice",
        )
    need(
        all(key.partition("+")[0] == content["origin"] for key in content["log_keys"]), "a key of another log"
    )
    need(isinstance(content["checkpoint"], str), "the checkpoint is not a text")
    need(len(content["checkpoint"].encode()) <= 1_000_000, "the checkpoint is too large")
    for name in "entries", "introductions":
        need(isinstance(content[name], list), "the entries are not a list")
        for proven in content[name]:
            check_form(proven)
        indexes = [proven["index"] for proven in content[name]]
        need(indexes == sorted(set(indexes)), "the entries are out of order")
    together = content["entries"] + content["introductions"]
    need(len({proven["index"] for proven in together}) == len(together) <= 20_000, "an entry is there twice")
    need(content["entries"], "there are no entries")
    return content


def check_form(proven: Any) -> None:
    need(isinstance(proven, dict) and list(proven) == ["index", "entry", "proof"], "an entry has other keys")
    need(type(proven["index"]) is int and 0 <= proven["index"] < 2**53, "an index is none")
    need(isinstance(proven["entry"], str) and isinstance(proven["proof"], list), "an entry is not a text")
    need(1 <= len(unbase64(proven["entry"])) <= 65_535, "an entry is too large")
    need(len(proven["proof"]) <= 63, "a proof is too long")
    need(all(isinstance(one, str) and len(unbase64(one)) == 32 for one in proven["proof"]), "a hash is none")


def check_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> None:
    """RFC 9162 §2.1.3.2."""
    need(index < size, "the entry is not in the tree")
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        need(sn, "the proof is too long")
        if fn & 1 or fn == sn:
            r = digest(b"\x01" + p + r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = digest(b"\x01" + r + p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0 and r == root, "the entry is not in the tree")


def verify(raw: bytes, vkey: str) -> dict[str, int]:
    """§3, by one key of the log; returns how long each chain is that has to be whole. Raises `Refused`."""
    content = read_file(raw)
    origin, note = content["origin"], content["checkpoint"].encode()
    found: list[str] = []
    checkpoint = open_checkpoint(note, origin, vkey, found)
    for claimed in content["log_keys"]:
        open_checkpoint(note, origin, claimed, found)
    need(not content["witness_keys"], "this verifier knows no witnesses")
    need(checkpoint and not found, "; ".join(found))
    read_note(note)
    verifier = Verifier(origin)
    told, ids = [], set()
    mine = {proven["index"] for proven in content["entries"]}
    introduced = []
    for proven in sorted(content["entries"] + content["introductions"], key=lambda one: one["index"]):
        index, data = proven["index"], unbase64(proven["entry"])
        leaf = digest(b"\x00" + data)
        check_inclusion(
            leaf, index, checkpoint.size, [unbase64(one) for one in proven["proof"]], checkpoint.root
        )
        event = take_apart(data, index)
        need(event.id not in ids, "an event is there twice")
        ids.add(event.id)
        attribute(event, index, verifier)
        (told if index in mine else introduced).append((index, leaf, event))
    whole = check_story(content["subject"], told)
    for _, _, event in introduced:
        need(event.number in INTRODUCING and event.chain not in whole, "an entry introduces nothing")
    return whole


def attribute(e: Event, index: int, verifier: Verifier) -> None:
    """§3, 5."""
    rules = verifier.rules
    need((e.number == 16) == (index == 0), "the first entry must be a genesis, and no other")
    need(e.number != 16 or e.entry["chain_seq"] == 0, "the genesis is not the first of its chain")
    verifier._check_signature(e)
    if e.signer.startswith("sale/"):
        need(e.chain == rules.sales[bytes.fromhex(e.signer[5:])].chain, "a buyer speaks elsewhere")
        need(
            e.body.get("sale", bytes.fromhex(e.signer[5:])).hex() == e.signer[5:],
            "a buyer speaks of another sale",
        )
    if e.number in {16, 18, 19, 20, 21, 33}:
        need(e.number != 18 or e.entry["chain_seq"] == 0, "a registration is not the first of its chain")
        if e.number == 33 and rules._role(e) == MERCHANT:
            rules.listings.add((company_of(e.signer), e.chain))  # not asked for
        rules.judge(e)
    if e.number in INTRODUCING:
        rules.establish(e)
        if e.number == 18:
            rules.parties[e.chain].licence_until = ""  # not asked for


def check_story(subject: dict[str, str], told: list[tuple[int, bytes, Event]]) -> dict[str, int]:
    """§2, and §3, 6."""
    events = [e for _, _, e in told]
    [(kind, value)] = subject.items()
    dispatches = [e for e in events if e.number == 34 and e.body["parcel"]]
    goods = kind == "chain" and chain_kind(value) in PRODUCT_CHAINS
    if kind == "sale":
        sales = {bytes.fromhex(value)}
    elif goods:
        sales = {e.id for e in events if e.number == 33 and e.chain == value}
    elif chain_kind(value) in PARCEL_CHAINS:
        sales = {e.body["sale"] for e in dispatches if e.body["parcel"] == value}
    else:
        sales = set()
    whole = {value} if kind == "chain" else set()
    if kind == "sale" or goods:
        whole |= {e.body["parcel"] for e in dispatches if e.body["sale"] in sales}
    sold = [(i, e) for i, _, e in told if e.number == 33 and e.id in sales]
    need({e.id for _, e in sold} == sales, "a sale is not there")
    offers = {chain for _, e in sold for chain in (e.chain, product_of(e.chain))}
    offers |= {value, product_of(value)} if goods else set()
    seen: set[bytes] = set()
    for index, _, e in told:
        refers = next((e.body[name] for name in ("review", "complaint", "event") if name in e.body), None)
        last = [i for i, s in sold if e.chain in {s.chain, product_of(s.chain)} and same_company(s, e)]
        need(
            e.chain in whole
            or (e.number == 33 and e.id in sales)
            or (e.number in {34, 35, 36, 38} and e.body["sale"] in sales)
            or (e.number in {37, 39, 40, 42} and refers in seen)
            or (e.number == 32 and last and index < last[-1])
            or (e.number in {0, 41} and e.chain in offers),
            f"entry {index} does not belong here",
        )
        seen.add(e.id)
    lengths = dict.fromkeys(sorted(whole), 0)
    heads: dict[str, tuple[bytes, int]] = {}
    for _, leaf, e in told:
        if e.chain in whole:
            head, recorded = heads.get(e.chain, (b"", 0))
            need(e.entry["chain_seq"] == lengths[e.chain], f"{e.chain} has a gap")
            need(e.entry["previous"] == head and e.recorded >= recorded, f"{e.chain} has a gap")
            lengths[e.chain] += 1
            heads[e.chain] = leaf, e.recorded
    return lengths


def same_company(one: Event, other: Event) -> bool:
    return company_of(one.signer) == company_of(other.signer)
