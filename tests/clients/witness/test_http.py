"""The protocol over real HTTP: the specification's MUSTs one by one, and the cases and transcripts of others."""

from __future__ import annotations

import http.client
import json
import re
import time
from hashlib import sha256
from urllib.parse import urlsplit

import pytest
import urllib3
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)
from witnessing import SmallLog, post, running_witness

from ledger.cosignature import cosignatures_of
from ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    NoteSignature,
    NoteSigner,
    SignedNote,
    VerifierKey,
)
from ledger.witness import AddCheckpoint

TEXT = "text/plain; charset=utf-8"
ORIGINS = ["first", "stale", "refresh", "published", "keep-alive", "fork", "new-key", "<b>&page"]


@pytest.fixture(scope="module")
def witness(tmp_path_factory):
    """A witness with keys of both kinds; each test has a log of its own among those that it watches."""
    folder = tmp_path_factory.mktemp("witness")
    logs = [*(SmallLog(origin).vkey for origin in ORIGINS), SmallLog("new-key", seed=2).vkey]
    with running_witness(folder, "--ml-dsa-key", str(folder / "ml-dsa.pem"), logs=logs) as running:
        yield running


def get(witness, path, method="GET", **headers):
    with urllib3.PoolManager(retries=False, timeout=60) as pool:
        return pool.request(method, f"{witness.url}/{path}", headers=headers)


def checkpoint_path(origin):
    return f"{sha256(origin.encode()).hexdigest()}/checkpoint"


def cosigned(witness, log, old, new):
    """Have a checkpoint cosigned: the answer's lines, and what they say."""
    answer = post(witness.url, log.request(old, new))
    assert (answer.status, answer.headers["content-type"]) == (200, TEXT), answer.data
    lines = tuple(map(NoteSignature.parse, answer.data.decode().removesuffix("\n").split("\n")))
    note = SignedNote.parse(log.note(new)).with_signatures(*lines)
    return lines, cosignatures_of(note, witness.vkeys)


# What MUST be


def test_a_first_checkpoint_is_cosigned_with_every_key(witness):
    before = int(time.time())
    lines, found = cosigned(witness, SmallLog("first"), 0, 10)
    after = int(time.time())
    assert [one.key for one in found] == list(witness.vkeys)
    assert [key.key_type for key in witness.vkeys] == [COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44]
    assert [one.signature for one in found] == list(lines)
    assert all(before <= one.time_s <= after for one in found)


def test_the_answer_may_be_concatenated_to_the_checkpoint(witness):
    log = SmallLog("first")
    size = _size(witness, log)
    answer = post(witness.url, log.request(size, size + 1))
    assert answer.data.startswith("— ".encode())
    note = SignedNote.parse(log.note(size + 1) + answer.data)
    assert len(cosignatures_of(note, witness.vkeys)) == 2


def test_an_old_size_that_does_not_match(witness):
    log = SmallLog("stale")
    for old, latest in [(7, 0), (0, 20), (19, 20), (21, 20)]:
        if latest and not _size(witness, log):
            cosigned(witness, log, 0, 20)
        answer = post(witness.url, log.request(old, 30))
        assert answer.status == 409
        # Exactly this type, and no charset: it is how clients tell this 409 from any other.
        assert answer.headers["content-type"] == "text/x.tlog.size"
        assert answer.data == f"{latest}\n".encode()


def test_the_same_checkpoint_again_is_cosigned_anew(witness):
    log = SmallLog("refresh")
    first, [one, *_] = cosigned(witness, log, 0, 50)
    deadline = time.monotonic() + 30
    while True:
        lines, [again, *_] = cosigned(witness, log, 50, 50)
        if again.time_s > one.time_s or time.monotonic() > deadline:
            break
        # Within the same second nothing is new, and nothing is written.
        assert lines == first
        time.sleep(0.05)
    assert again.time_s > one.time_s
    assert post(witness.url, log.request(50, 60)).status == 200


def test_no_fork_is_ever_cosigned(witness):
    log, fork = SmallLog("fork"), SmallLog("fork", since=20, branch="fork")
    cosigned(witness, log, 0, 40)
    for _ in range(2):
        assert post(witness.url, fork.request(40, 40)).status == 422
        assert post(witness.url, fork.request(40, 50)).status == 422
        assert post(witness.url, AddCheckpoint(40, log.proof(40, 50), fork.note(50)).encode()).status == 422
        answer = post(witness.url, fork.request(30, 50))
        assert (answer.status, answer.data) == (409, b"40\n")
    assert post(witness.url, log.request(40, 50)).status == 200
    told = [json.loads(line) for line in witness.run("--evidence", "--format", "json").stdout.splitlines()]
    told = [one for one in told if one["origin"] == "fork"]
    assert [(one["conclusive"], one["refused"].split("\n")[1]) for one in told] == [
        (True, "40"),
        (False, "50"),
    ]
    assert told[0]["refused"].encode() == fork.note(40)
    assert told[0]["cosigned"].encode().startswith(log.note(40))
    assert told[0]["reason"].startswith("root of fork at size 40: given ")
    events = [json.loads(line) for line in witness.log().splitlines()]
    [event] = [event for event in events if event["event"] == "log_misbehaved"]
    assert (event["origin"], event["size"], event["evidence"], event["level"]) == (
        "fork",
        40,
        told[0]["id"],
        "error",
    )


def test_a_log_that_changes_its_key(witness):
    old, new = SmallLog("new-key"), SmallLog("new-key", seed=2)
    cosigned(witness, old, 0, 10)
    cosigned(witness, new, 10, 20)
    note = SignedNote.sign(old.checkpoint(30).text(), old.signer, new.signer).encode()
    assert post(witness.url, AddCheckpoint(20, old.proof(20, 30), note).encode()).status == 200
    published = SignedNote.parse(get(witness, checkpoint_path("new-key")).data)
    assert {line.key_id for line in published.signatures} >= {old.vkey.key_id, new.vkey.key_id}


def test_what_is_published_is_what_was_answered(witness):
    log, path = SmallLog("published"), checkpoint_path("published")
    missing = get(witness, path)
    assert (missing.status, missing.headers["content-type"]) == (404, TEXT)
    strange = NoteSigner("stranger.example", SmallLog(seed=9).signer.private_key).sign(
        log.checkpoint(5).text()
    )
    note = SignedNote.parse(log.note(5)).with_signatures(strange)
    answer = post(witness.url, AddCheckpoint(0, (), note.encode()).encode())
    published = get(witness, path)
    assert (published.status, published.headers["content-type"]) == (200, TEXT)
    assert published.headers["cache-control"] == "public, max-age=10"
    # The log's signature that was verified and ours, and nobody else's.
    assert published.data == log.note(5) + answer.data
    tag = published.headers["etag"]
    for tags in (tag, f'"x", W/{tag}'):
        unchanged = get(witness, path, **{"if-none-match": tags})
        assert (unchanged.status, unchanged.data, unchanged.headers["etag"]) == (304, b"", tag)
    head = get(witness, path, "HEAD")
    assert (head.status, head.data, head.headers["content-length"]) == (200, b"", str(len(published.data)))
    cosigned(witness, log, 5, 6)
    assert get(witness, path, **{"if-none-match": tag}).status == 200


def test_paths_and_methods_that_there_are_not(witness):
    cosigned(witness, SmallLog("first"), _size(witness, SmallLog("first")), 90)
    good = checkpoint_path("first")
    assert get(witness, good).status == 200
    for path in (good.upper().replace("CHECKPOINT", "checkpoint"), good[1:], "first/checkpoint", f"{good}/",
                 "checkpoint", f"x{good}", "add-checkpoint/", "sign-subtree"):  # fmt: skip
        assert get(witness, path).status == 404, path
    for method, path in [
        ("GET", "add-checkpoint"),
        ("PUT", "add-checkpoint"),
        ("POST", good),
        ("DELETE", good),
    ]:
        assert get(witness, path, method).status == 405, (method, path)


def test_connections_are_kept(witness):
    log = SmallLog("keep-alive")
    connection = http.client.HTTPConnection(urlsplit(witness.url).netloc, timeout=60)
    connection.connect()
    opened = connection.sock
    for old, new, status in [(0, 1, 200), (0, 2, 409), (1, 3, 200)]:
        connection.request("POST", "/add-checkpoint", log.request(old, new))
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
        assert connection.sock is opened
    connection.close()


def test_the_page_for_people(witness):
    log = SmallLog("<b>&page")
    cosigned(witness, log, 0, 33)
    page = get(witness, "")
    html = page.data.decode()
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert all(str(key) in html for key in witness.vkeys)
    assert "&lt;b&gt;&amp;page" in html
    assert "<b>&page" not in html
    assert f'<a href="{checkpoint_path("<b>&page")}">33</a>' in html


def _size(witness, log):
    """The latest size, asked as the specification suggests."""
    answer = get(witness, checkpoint_path(log.origin))
    return 0 if answer.status == 404 else int(answer.data.split(b"\n")[1])


# The cases and transcripts of others


def test_the_cases_in_order(shared, tmp_path):
    told = json.loads((shared / "tlog/derived/witness_add_checkpoint_cases.json").read_text(encoding="utf-8"))
    with running_witness(tmp_path, logs=[told["log_vkey"]]) as witness:
        answers = [post(witness.url, case["body"].encode()) for case in told["cases"]]
    statuses = [(case["name"], answer.status) for case, answer in zip(told["cases"], answers, strict=True)]
    assert statuses == [(case["name"], case["spec_status"]) for case in told["cases"]]
    assert len(statuses) == 9
    assert answers[2].data == b"3000\n"


def exchanges(transcript):
    """The requests of a transcript: path, body, and the status and the assertion that the answer has to meet."""
    hurl = transcript.partition("-- add-checkpoint.hurl --\n")[2]
    form = r"POST https?://[^/]+(\S+)\n```\n(.*?)```\nHTTP ([0-9]+)\n\[Asserts\]\nbody ([^\n]*)"
    found = re.findall(form, hurl, re.DOTALL)
    assert len(found) == hurl.count("POST ")
    return [(path, body.encode(), int(status), told) for path, body, status, told in found]


def test_the_transcripts_of_litewitness(shared, tmp_path):
    """The witness's part of them. Left out: agents that hold keys, the tools that list logs, and the bastion.

    A bastion is a relay in front of a witness; the one request that goes through it is the first of the others.
    """
    folder = shared / "tlog/litewitness/cmd/litewitness/testdata"
    main, sumdb, bastion = [
        (folder / f"{name}.txt").read_text(encoding="utf-8") for name in ("litewitness", "sumdb", "bastion")
    ]
    assert [(body, status) for _, body, status, _ in exchanges(bastion)] == [
        (body, status) for _, body, status, _ in exchanges(main)[:1]
    ]
    sigsum = bytes.fromhex(re.search(r"add-sigsum-log -key=([0-9a-f]{64})", main)[1])
    origin = f"sigsum.org/v1/tree/{sha256(sigsum).hexdigest()}"
    origin_2, key_2 = re.search(r"add-key -origin '(.*)' -key (\S+)", sumdb).groups()
    pem = re.search(r"-- witness_key.pem --\n(.*?\n)\n", main, re.DOTALL)[1]
    key = load_ssh_private_key(pem.encode(), None)
    (tmp_path / "witness.pem").touch(0o600)
    (tmp_path / "witness.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    logs = [VerifierKey.of(origin, sigsum), f"{key_2} {origin_2}"]
    with running_witness(tmp_path, logs=logs, name="example.com/witness") as witness:
        assert sha256(witness.vkey.public_key).hexdigest().startswith("e933707e0e36c30f")
        statuses = []
        for path, body, status, told in [*exchanges(main), *exchanges(sumdb)]:
            assert path == "/add-checkpoint"
            answer = post(witness.url, body)
            statuses.append((status, answer.status))
            operator, text = told.split(" ", 1)
            if operator == "==":
                assert answer.data == json.loads(text).encode()
            else:
                assert json.loads(text).encode() in answer.data
            if answer.status == 200:
                note = SignedNote.parse(body.partition(b"\n\n")[2] + answer.data)
                assert len(cosignatures_of(note, witness.vkeys)) == 1
        # An unknown log was 403 to this witness; the specification has had it 404 since.
        assert [(told, got) for told, got in statuses if told != got] == [(403, 404)]
        assert len(statuses) == 10
        assert get(witness, checkpoint_path(origin)).data.split(b"\n")[1] == b"5"
        assert get(witness, checkpoint_path(origin_2)).data.split(b"\n")[1] == b"35225469"
