from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from evidences import TIME_S, WITNESSES, evidence_of, policy_of
from lying import CITY_SIGNER, lying_service
from rich.cells import cell_len
from world import MERCHANT, ORIGIN, TEA, City, Log, signing_key

from clients.cli import verdict
from clients.evidence_check import check_evidence
from clients.new_file import write_whole
from ledger.checkpoint import Checkpoint
from ledger.errors import BadInput
from ledger.evidence import Evidence
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.note import NoteSigner, SignedNote, VerifierKey
from ledger.policy import Policy
from ledger.tlog_proof import TlogProof

FILE = "tea.evidence.json"


def names(folder="."):
    """What is in a folder, but for what commands remember."""
    return {path.name for path in Path(folder).iterdir()} - {"state"}


def life(title="茉莉花茶 250 g"):
    """A log with the life of one product."""
    city, log = City(), Log()
    log.append(*city.founding())
    listing, *rest = city.life()
    log.append(listing if title == "茉莉花茶 250 g" else city.listing(title=title), *rest)
    return log


def tea_file(log=None, **more):
    """Evidence on it, in a file."""
    evidence = evidence_of(log or life(), TEA, range(6, 18), (0, 1, 2, 4, 5), **more)
    Path(FILE).write_bytes(evidence.encode())
    return evidence


@pytest.fixture
def offline(suyuan, monkeypatch):
    """The command line, which knows the log's key and no service."""
    monkeypatch.setenv("SUYUAN_VKEY", str(CITY_SIGNER.vkey))
    monkeypatch.setenv("SUYUAN_SERVER", "127.0.0.1:1")
    return suyuan


def check(offline, *more):
    return offline("regulator", "verify-evidence", FILE, *more)


# Making


def test_evidence_and_what_it_proves(online, sell, goods, keys, waybill, service):  # noqa: PLR0917 - fixtures
    sale, _ = sell()
    for arguments in (("merchant", "dispatch", sale, waybill, "--key", keys["merchant"]),
                      ("courier", "scan", "picked-up", waybill, "--key", keys["member"])):  # fmt: skip
        assert online(*arguments).status == 0
    done = online("regulator", "evidence", goods, "--out", FILE, "--report", "tea.html")
    assert (done.status, done.err) == (0, "")
    raw = Path(FILE).read_bytes()
    believed = Policy.of(VerifierKey.parse(service.vkey))
    checked = check_evidence(Evidence.parse(raw), believed)
    chain = f"01/0{goods}"
    assert done.out.splitlines() == [
        f"Evidence on {chain} in {FILE}",
        f"  sha256 {sha256(raw).hexdigest()}, {len(raw)} bytes",
        *(f"  {said.english}" for said in verdict.what_holds(checked)),
        "Report in tea.html",
        f"Whoever has the log's key can check it: suyuan regulator verify-evidence {FILE}",
    ]
    assert f"  {chain}: 3 entries from the first on, without a gap." in done.out
    assert f"  waybill/sf/{waybill}: 1 entry from the first on, without a gap." in done.out
    assert "已验证" in Path("tea.html").read_text()
    # Years later: no service, and no memory of it.
    later = online("regulator", "verify-evidence", FILE, SUYUAN_SERVER="127.0.0.1:1", SUYUAN_STATE="nowhere")
    assert (later.status, later.err) == (0, "")
    assert "● sold, 1 unit" in later.out
    assert "by 闽茶坊 (party/91350102MA2XW1QL3Y)" in later.out
    assert f"VERIFIED  {chain}" in later.out
    assert not Path("nowhere").exists()


def test_evidence_for_programs(online, sell):
    sale, _ = sell()
    done = online.json("regulator", "evidence", "--sale", sale, "--out", FILE)
    raw = Path(FILE).read_bytes()
    assert done.record == {
        "file": FILE,
        "sha256": sha256(raw).hexdigest(),
        "bytes": len(raw),
        "subject": f"sale {sale}",
        "entries": 2,
        "introductions": 3,
        "checkpoint": done.record["checkpoint"],
        "report": None,
    }
    assert Path(FILE).stat().st_mode & 0o777 == 0o666 & ~_umask()


@pytest.mark.parametrize("arguments", [("01/06901234567892/21/none",), ("--sale", "00" * 32)])
def test_no_evidence_of_nothing(online, arguments):
    done = online("regulator", "evidence", *arguments, "--out", FILE)
    assert done.status == 1
    assert "[NOT_FOUND]" in done.err
    assert not names()


@pytest.mark.parametrize("taken", [FILE, "tea.html"])
def test_no_file_is_written_over(offline, taken):
    Path(taken).write_text("precious")
    done = offline("regulator", "evidence", "6901234567892", "--out", FILE, "--report", "tea.html")
    assert done.status == 2, "before anybody is asked"
    assert (
        done.err == f"Error: file {taken}: given a file that exists, expected a new file [INVALID_REQUEST]\n"
    )
    assert (names(), Path(taken).read_text()) == ({taken}, "precious")


@pytest.mark.parametrize("arguments", [(), ("6901234567892", "--sale", "00" * 32)])
def test_a_barcode_or_a_sale(offline, arguments):
    done = offline("regulator", "evidence", *arguments, "--out", FILE)
    assert done.status == 2


def test_evidence_of_a_lying_service_is_not_written(online, sell, goods, service, monkeypatch):
    sell()

    def lie(_, answer):
        answer.proof[-1] = bytes(32)

    with lying_service(service.target) as liar:
        liar.tell("GetInclusionProof", lie)
        monkeypatch.setenv("SUYUAN_SERVER", liar.target)
        done = online("regulator", "evidence", goods, "--out", FILE, "--report", "tea.html")
    assert done.status == 5
    assert "[BAD_INCLUSION_PROOF]" in done.err
    assert not names() & {FILE, "tea.html"}


def test_nobody_answers(offline):
    done = offline("regulator", "evidence", "6901234567892", "--out", FILE, "--timeout", "1")
    assert done.status == 3
    assert not names()


# Checking


def test_who_said_what(offline):
    tea_file()
    done = check(offline)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(
        f"{TEA}\n\n2026-05-04, UTC+08:00\n09:07:00 ● listed\n         │ 茉莉花茶 250 g\n"
    )
    assert "by 顺丰速运 / k-0017 (party/91440300708461136T/k-0017)" in done.out
    assert "by the buyer" in done.out
    assert "flagged" not in done.out
    proven, _, not_proven = done.out.partition("Not proven by this file\n")
    assert f"VERIFIED  {TEA}\n" in proven
    assert "17 of 17 signatures hold" in proven
    assert "That nothing came later" in not_proven
    assert "no witness that you trust has cosigned" in " ".join(not_proven.split())


def test_lines_are_broken_for_those_who_have_columns_only(offline):
    checked = check_evidence(tea_file(), Policy.of(CITY_SIGNER.vkey))
    said = [*verdict.what_holds(checked), *verdict.what_is_not_proven(checked)]
    assert max(len(one.english) for one in said) > 80
    whole = check(offline).out.splitlines()
    assert {f"  {one.english}" for one in said} <= set(whole)
    assert not any(line.endswith(" ") for line in whole)
    broken = offline("regulator", "verify-evidence", FILE, COLUMNS=60).out.splitlines()
    assert max(map(cell_len, broken)) <= 60
    assert " ".join(" ".join(broken).split()).endswith(said[-1].english)


def test_what_programs_read(offline):
    evidence = tea_file(witnesses=["one"])
    done = offline.json("regulator", "verify-evidence", FILE)
    told = done.record
    assert done.status == 0
    entries, introductions = told.pop("entries"), told.pop("introductions")
    checked, not_proven = told.pop("checked"), told.pop("not_proven")
    log = life()
    assert told == {
        "verified": True,
        "file": FILE,
        "sha256": sha256(evidence.encode()).hexdigest(),
        "subject": TEA,
        "checkpoint": {"origin": ORIGIN, "size": 18, "root": log.checkpoint.root.hex()},
        "signed_by": [str(CITY_SIGNER.vkey)],
        "cosignatures": [],
        "quorum": None,
        "chains": [{"chain": TEA, "entries": 8}, {"chain": "waybill/sf/SF1234567890123", "entries": 4}],
    }
    assert [entry["index"] for entry in entries] == list(range(6, 18))
    assert [entry["index"] for entry in introductions] == [0, 1, 2, 4, 5]
    assert all(entry["flags"] is None for entry in entries)
    assert (entries[0]["signer"], entries[0]["signer_name"]) == (MERCHANT, "闽茶坊")
    assert all(entry["signature_verified"] for entry in entries)
    assert (len(checked), len(not_proven)) == (5, 7)


def test_witnesses(offline):
    tea_file(witnesses=["one", "three"])
    Path("two.policy").write_text(policy_of(2).text)
    Path("three.policy").write_text(policy_of(3).text)
    done = offline.json("regulator", "verify-evidence", FILE, "--policy", "two.policy")
    assert done.status == 0
    assert done.record["cosignatures"] == [
        {"witness": str(WITNESSES[name].vkey), "time": "2026-05-04T02:00:00Z"} for name in ("one", "three")
    ]
    assert done.record["quorum"] == "2 of (one, two, three)"
    done = check(offline, "--policy", "two.policy")
    assert "cosigned it at 2026-05-04T02:00:00Z by its own clock." in " ".join(done.out.split())
    done = check(offline, "--policy", "three.policy")
    assert done.status == 8
    assert done.out == (
        f"NOT VERIFIED  {FILE}\n  cosignatures of the checkpoint of {ORIGIN}: given one, three, expected a quorum: "
        "3 of (one, two, three) [UNWITNESSED]\n"
    )


def test_a_file_that_does_not_hold(offline):
    evidence = tea_file()
    Path(FILE).write_bytes(replace(evidence, entries=evidence.entries[1:]).encode())
    done = offline.json("regulator", "verify-evidence", FILE, "--report", "tea.html", "--extract", "proofs")
    assert (done.status, done.err) == (1, "")
    assert (done.record["verified"], done.record["error"]["reason"]) == (False, "BROKEN_CHAIN")
    assert not Path("proofs").exists()
    report = Path("tea.html").read_text()
    assert "未通过验证" in report
    assert "茉莉花茶" not in report, "nothing of it is shown"
    assert sha256(Path(FILE).read_bytes()).hexdigest() in report
    done = check(offline)
    assert done.out.startswith(
        f"NOT VERIFIED  {FILE}\n  chain_seq of entry 7 in {TEA}: given 1, expected 0 [BROKEN"
    )


@pytest.mark.parametrize("content", [b"", b"tea", b"{}", b'{"format": "suyuan-evidence/2"}', b"[" * 100_000])
def test_what_is_no_evidence_file(offline, content):
    Path(FILE).write_bytes(content)
    done = check(offline, "--report", "tea.html")
    assert (done.status, done.out) == (2, "")
    assert "[INVALID_REQUEST]" in done.err
    assert names() == {FILE}


def test_a_file_that_is_not_there(offline):
    done = check(offline)
    assert done.status == 2
    assert done.err == (
        f"Error: file {FILE}: given No such file or directory, expected an evidence file that can be read "
        "[INVALID_REQUEST]\n"
    )


def test_another_logs_file(offline):
    tea_file()
    other = NoteSigner("ledger.test/town", signing_key("town")._key).vkey
    done = check(offline, "--vkey", str(other))
    assert done.status == 2
    assert f"keys to verify checkpoints of {ORIGIN}: given none" in done.err


def test_a_key_that_did_not_sign(offline):
    tea_file()
    other = NoteSigner(ORIGIN, signing_key("another")._key).vkey
    assert check(offline, "--vkey", str(other)).status == 1
    assert check(offline, "--vkey", f"{other} {CITY_SIGNER.vkey}").status == 0, "one of them signed"


def test_the_key_comes_from_the_user(suyuan):
    tea_file()
    done = check(suyuan)
    assert done.status == 2
    assert done.err.startswith("Error: verifier key of the log: given none, expected --vkey")


# Proofs, each alone


def test_extract(offline):
    evidence = tea_file()
    assert check(offline, "--extract", "proofs").status == 0
    expected = {
        "checkpoint",
        *(f"{one.index}.{end}" for one in evidence.leaves() for end in ("entry", "tlog-proof")),
    }
    assert names("proofs") == expected
    checkpoint = Checkpoint.parse(SignedNote.parse(Path("proofs/checkpoint").read_bytes()).text)
    for leaf in evidence.leaves():
        proof = TlogProof.parse(Path(f"proofs/{leaf.index}.tlog-proof").read_bytes())
        data = Path(f"proofs/{leaf.index}.entry").read_bytes()
        verify_inclusion(leaf_hash(data), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    assert names() == {"proofs", FILE}


@pytest.mark.parametrize("folder", ["there", "nowhere/proofs"])
def test_extract_into_no_new_folder(offline, folder):
    tea_file()
    Path("there").mkdir()
    done = check(offline, "--extract", folder)
    assert done.status == 2
    assert f"file {folder}: given " in done.err
    assert names() == {FILE, "there"}


# Reports


def test_a_report(offline):
    evidence = tea_file(witnesses=["one", "two"])
    Path("policy").write_text(policy_of(2).text)
    assert check(offline, "--policy", "policy", "--report", "tea.html").status == 0
    report = Path("tea.html").read_text()
    for text in (
        "已验证 ", "VERIFIED", TEA, ORIGIN, sha256(evidence.encode()).hexdigest(), "2026-05-04 09:07:00 +08:00",
        "2026-05-04T01:07:00Z", "茉莉花茶 250 g", "签收，完好", "received, intact", "顺丰速运 / k-0017",
        "福建省福州市鼓楼区 350102", "2 of (one, two, three)", "本文件不能证明", "Not proven by this file",
        "第 6 号 entry 6", evidence.checkpoint.decode().splitlines()[2],
    ):  # fmt: skip
        assert text in report, text
    for leaf in evidence.entries:
        assert leaf_hash(leaf.data).hex() in report
    checked = check_evidence(evidence, policy_of(2))
    for said in (*verdict.what_holds(checked), *verdict.what_is_not_proven(checked)):
        assert said.chinese in report
    assert {"suyuan regulator verify-evidence tea.evidence.json"} <= set(
        re.findall(r"suyuan reg[^<]*json", report)
    )


def test_a_report_asks_for_nothing_and_runs_nothing(offline):
    tea_file(life("<script>alert(1)</script>&amp;\"'<img src=x>"))
    assert check(offline, "--report", "tea.html").status == 0
    report = Path("tea.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;&quot;&#x27;&lt;img src=x&gt;" in report
    assert not re.search(
        r"<(?!meta|html|head)[^>]*\b(?:src|href|on[a-z]+)\s*=|<script|url\(|@import|https?://", report
    )
    assert "default-src 'none'" in report


def test_a_report_shows_what_would_reorder_it(offline):
    evidence = tea_file()
    note = SignedNote.parse(evidence.checkpoint)
    trick = NoteSigner("\u202egnihton", signing_key("trick")._key)
    noted = note.with_signatures(trick.sign(note.text))
    Path(FILE).write_bytes(replace(evidence, checkpoint=noted.encode()).encode())
    assert check(offline, "--report", "tea.html").status == 0
    report = Path("tea.html").read_text()
    assert "\u202e" not in report
    assert "\\u202egnihton" in report


def test_a_witness_of_the_year_ten_thousand():
    assert verdict.second_text(TIME_S) == "2026-05-04T02:00:00Z"
    assert verdict.second_text(2**63 - 1) == "second 9223372036854775807"


def test_many_chains_are_not_all_named(offline):
    checked = check_evidence(tea_file(), Policy.of(CITY_SIGNER.vkey))
    many = replace(checked, chains={f"waybill/sf/SF{number}": number for number in range(12)})
    said = [one.english for one in verdict.what_holds(many)]
    assert "Of waybill/sf/SF0 there is no entry in the file." in said
    assert "2 more chains have no gap either." in said


# Files


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"whole")
    assert (path.read_bytes(), names(tmp_path)) == (b"whole", {"file"})
    with pytest.raises(BadInput) as caught:
        write_whole(path, b"other")
    assert str(caught.value) == f"file {path}: given a file that exists, expected a new file"
    assert (path.read_bytes(), names(tmp_path)) == (b"whole", {"file"})


def test_a_file_in_no_folder(tmp_path):
    path = tmp_path / "nowhere" / "file"
    with pytest.raises(BadInput) as caught:
        write_whole(path, b"x")
    assert str(caught.value) == (
        f"file {path}: given No such file or directory, expected a file that can be written"
    )


def test_the_documents_name_the_fields(offline):
    """docs/command-line.md says what programs read."""
    tea_file()
    told = json.loads(offline.json("regulator", "verify-evidence", FILE).out)
    page = (Path(__file__).parents[3] / "docs" / "command-line.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith("| `regulator verify-evidence` |")]
    for name in told:
        assert f"`{name}`" in row


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
