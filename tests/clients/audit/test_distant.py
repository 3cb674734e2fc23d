from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from certificates import self_signed
from tiled import SIGNER, bundles_for, files_for, long_log, note_for, serving, serving_folder, tiles_for
from world import MERCHANT, ORIGIN, altered, audit, founded

from clients.audit import signatures
from clients.audit.distant import DistantAudit
from clients.audit.memory import AuditMemory, Moment
from clients.audit.signatures import Verifiers
from clients.tiles.fetch import Site
from clients.tiles.log import TiledLog
from ledger.audit import Standing
from ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.entry import Entry
from ledger.errors import BrokenProof, Reason, ServiceFault
from ledger.findings import AuditReport
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import leaf_hash
from ledger.tiles import decode_bundle, encode_bundle

SIZES = [0, 1, 2, 7, 255, 256, 257, 511, 513, 1_000]


class Killed(BaseException):
    """The end of everything, without a warning."""


def opened(note):
    return open_checkpoint(note, ORIGIN, [SIGNER.vkey])


class Auditing:
    """A log that is served, and an auditor who comes back."""

    def __init__(self, server, path, root_certificates=None):
        self.server = server
        self.path = path
        self.root_certificates = root_certificates
        self.last = None

    def __call__(self, *known, leaves=None, progress=lambda done, total: None, **more):
        """One audit; the server shows these entries from now on."""
        if leaves is not None:
            self.server.files = files_for(leaves)
        self.server.asked.clear()
        with (
            Site(self.server.url, timeout_s=5, root_certificates=self.root_certificates) as site,
            Verifiers(2) as verifiers,
            AuditMemory(self.path, ORIGIN, near=50) as memory,
        ):
            self.last = DistantAudit(
                TiledLog(site),
                memory,
                opened,
                origin=ORIGIN,
                verifiers=verifiers,
                known={one: sign_checkpoint(one, SIGNER) for one in known},
                **more,
            )
            return self.last.run(progress)


@pytest.fixture
def auditing(tmp_path):
    with serving({}) as server:
        yield Auditing(server, tmp_path / "audit")


def found(report):
    return [(finding.index, finding.reason) for finding in report.findings]


def told(report):
    """All that two audits of the same log must agree on."""
    return replace(report, findings=sorted(report.findings, key=str))


# Good logs


def test_a_log_that_python_serves_from_a_folder(tmp_path):
    """It closes the connection after each answer."""
    with serving_folder(tmp_path / "log", files_for(long_log(1_000))) as server:
        for attempt in range(8):
            report = Auditing(server, tmp_path / f"audit {attempt}")()
            assert (report.size, report.findings) == (1_000, [])


@pytest.mark.parametrize("last", [False, True], ids=["kept", "closed"])
def test_a_log_over_tls(tmp_path, last):
    """Also of a server that closes each connection after its answer."""
    certificate = self_signed(tmp_path)
    with serving(files_for(long_log(700)), last=last, certificate=certificate) as server:
        report = Auditing(server, tmp_path / "audit", root_certificates=str(certificate[0]))()
    assert (report.size, report.findings) == (700, [])


@pytest.mark.parametrize("size", SIZES)
def test_a_good_log_of_any_size(auditing, size):
    leaves = long_log(size)
    report = auditing(leaves=leaves)
    assert report.verified, report.findings
    hashes = [leaf_hash(data) for data in leaves]
    checkpoint = Checkpoint(ORIGIN, size, Frontier().extend(hashes).root())
    assert told(report) == told(audit(leaves, checkpoint, hashes=hashes)), "the same as with all at hand"


def test_every_file_of_the_log_is_looked_at(auditing):
    auditing(leaves=long_log(700))
    assert Counter(auditing.server.asked) == Counter(list(auditing.server.files))


@pytest.mark.parametrize(
    ("first", "then"), [(0, 1), (1, 2), (255, 256), (256, 257), (256, 512), (300, 700), (700, 700)]
)
def test_what_was_read_is_not_read_again(auditing, first, then):
    auditing(leaves=long_log(first))
    report = auditing(leaves=long_log(then))
    assert report.verified, report.findings
    assert (auditing.last.begun_at, report.size) == (first, then)
    assert [path for path in auditing.server.asked if path.startswith("tile/entries/")] == [
        path
        for number, path in enumerate(bundles_for(long_log(then)))
        if first < then and number >= first // 256
    ]
    assert told(report) == told(audit(long_log(then), opened(auditing.last.note), hashes=map_hashes(then)))


def map_hashes(size):
    return [leaf_hash(data) for data in long_log(size)]


def test_progress(auditing):
    seen = []
    auditing(leaves=long_log(600), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(256, 600), (512, 600), (600, 600)]


def test_processes_come_to_the_same(auditing, monkeypatch):
    monkeypatch.setattr(signatures, "WORTH_STARTING", 1)
    city, log = founded()
    for number in range(600):
        listing = city.listing()
        log.clock_us += 60_000_000
        log.forge(altered(listing, signature=bytes(64)) if number % 100 == 50 else listing)
    report = auditing(leaves=log.leaves)
    assert found(report) == [(6 + number, Reason.BAD_SIGNATURE) for number in range(50, 600, 100)]
    assert told(report) == told(log.audit())


# Tampering; the checkpoint is the honest one unless it is said otherwise


def changed_bundle(auditing, number, change):
    """Show something else instead of a bundle's entries."""
    path = list(bundles_for(long_log(700)))[number]
    entries = decode_bundle(auditing.server.files[path], min(256, 700 - 256 * number))
    auditing.server.files[path] = encode_bundle(change(entries))


def flipped(data, place):
    changed = bytearray(data)
    changed[place % len(data)] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("index", [0, 100, 255, 256, 511, 512, 699])
def test_a_changed_byte_of_an_entry(auditing, index):
    auditing.server.files = files_for(long_log(700))
    changed_bundle(
        auditing,
        index // 256,
        lambda entries: [flipped(data, 37) if n == index % 256 else data for n, data in enumerate(entries)],
    )
    report = auditing()
    assert found(report)[0] == (index, Reason.BAD_ENTRY)
    assert report.findings[-1].message.endswith("(checkpoint); the entries changed after it was signed")
    leaves = long_log(700)
    leaves = [flipped(data, 37) if n == index else data for n, data in enumerate(leaves)]
    expected = audit(leaves, opened(auditing.last.note), hashes=map_hashes(700))
    assert told(report) == told(expected), "the same findings as with all at hand"


def test_two_entries_that_changed_places(auditing):
    auditing.server.files = files_for(long_log(700))
    changed_bundle(auditing, 1, lambda e: [*e[:3], e[4], e[3], *e[5:]])
    assert {index for index, reason in found(auditing()) if reason is Reason.BAD_ENTRY} == {259, 260}


@pytest.mark.parametrize("change", [lambda e: e[:-1], lambda e: [*e[:5], *e[6:]]], ids=["last", "inner"])
def test_an_entry_that_was_dropped_from_a_bundle(auditing, change):
    auditing.server.files = files_for(long_log(700))
    changed_bundle(auditing, 1, change)
    report = auditing()
    assert found(report) == [(None, Reason.BAD_ENTRY)]
    assert "tile/entries/001: bytes of a bundle" in report.findings[0].message
    assert report.size == 256, "what comes after it cannot be judged"
    assert found(auditing()) == [(None, Reason.BAD_ENTRY)], "and is not found twice"


@pytest.mark.parametrize("path", sorted(path for path in tiles_for(map_hashes(700))))
def test_a_changed_tile(auditing, path):
    auditing.server.files = files_for(long_log(700))
    auditing.server.files[path] = flipped(
        auditing.server.files[path], 40 if len(auditing.server.files[path]) > 40 else 4
    )
    report = auditing()
    assert not report.verified
    if path.startswith("tile/0/"):
        [(index, reason), *_] = found(report)
        assert reason is Reason.BAD_INCLUSION_PROOF, "the entries are those that were signed"
        assert f"{index // 256:03}" in path
    else:
        [finding] = report.findings
        assert finding.reason is Reason.BAD_INCLUSION_PROOF
        assert f"of {path}: given " in finding.message


def test_tiles_of_a_high_tree(auditing):
    files = files_for(long_log(513))
    auditing.server.files = files
    assert {path for path in files if path.startswith("tile/1/")} == {"tile/1/000.p/2"}
    files["tile/1/000.p/2"] = files["tile/1/000.p/2"][::-1]
    assert found(auditing()) == [(None, Reason.BAD_INCLUSION_PROOF)]


@pytest.mark.parametrize("path", [None, "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"])
def test_a_changed_tile_of_a_log_with_three_levels(auditing, path):
    """Junk will do for entries, of which the first 65,280 have been read: it is the tree above them that counts."""
    leaves = [b"%d" % number for number in range(65_792)]
    read = 65_280
    completed = {}
    frontier = Frontier().extend(map(leaf_hash, leaves[:read]), completed)
    edge, _ = RightEdge().extend(completed)
    with AuditMemory(auditing.path, ORIGIN) as memory:
        memory.save(Moment(AuditReport(ORIGIN), Standing(frontier, frontier), edge))
    files = files_for(leaves)
    assert sorted(name for name in files if name.startswith(("tile/1/", "tile/2/"))) == [
        "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1",
    ]  # fmt: skip
    if path is not None:
        files[path] = flipped(files[path], 4)
    auditing.server.files = files
    report = auditing()
    assert report.size == len(leaves)
    assert found(report)[: len(leaves) - read] == [
        (index, Reason.BAD_ENTRY) for index in range(read, len(leaves))
    ]
    more = report.findings[len(leaves) - read :]
    assert [one.reason for one in more] == ([] if path is None else [Reason.BAD_INCLUSION_PROOF])
    assert all(f"of {path}: given " in one.message for one in more)


def test_a_tile_of_another_size(auditing):
    auditing.server.files = files_for(long_log(700))
    auditing.server.files["tile/0/001"] += bytes(32)
    report = auditing()
    assert found(report) == [(None, Reason.BAD_INCLUSION_PROOF)]
    assert report.size == 700, "the entries can be judged without it"


def test_a_history_that_was_made_anew(auditing):
    """Hashes, tiles and signature are all as they should be; signed statements of others are not to be had."""
    leaves = long_log(700)
    entry = Entry.parse(leaves[300])
    leaves[300] = replace(entry, recorded_at_us=entry.recorded_at_us + 1).encode()
    report = auditing(leaves=leaves)
    assert Reason.BROKEN_CHAIN in {reason for _, reason in found(report)}


def test_a_breach_of_the_rules(auditing):
    city, log = founded()
    log.forge(city.sale())
    report = auditing(leaves=log.leaves)
    assert found(report) == [(6, Reason.LISTING_MISSING)]


def test_a_wrong_signature(auditing):
    city, log = founded()
    log.forge(altered(city.listing(), signature=bytes(64)))
    report = auditing(leaves=log.leaves)
    assert found(report) == [(6, Reason.BAD_SIGNATURE)]
    assert told(report) == told(log.audit())


@pytest.mark.parametrize("saved_every", [1, 600, 10_000])
def test_events_recorded_again_sooner_or_later(auditing, saved_every):
    """Whether the first of them is saved by then, or waits: the findings are the same."""
    city, log = founded()
    again = {200: 100, 201: 100, 500: 3, 690: 100, 695: 694}
    listings = []
    for number in range(700):
        listings.append(city.listing(title=f"tea {number}"))
        log.forge(listings[again.get(number, number)])
    report = auditing(leaves=log.leaves, saved_every=saved_every)
    duplicates = [index for index, reason in found(report) if reason is Reason.DUPLICATE_EVENT]
    assert duplicates == [6 + number for number in again]
    assert told(report) == told(log.audit())
    assert told(auditing()) == told(report), "and stay so"


def test_a_place_in_a_chain_that_no_chain_reaches(auditing):
    city, log = founded()
    log.accept(city.listing())
    leaves = [*log.leaves]
    leaves[-1] = replace(Entry.parse(leaves[-1]), chain_seq=2**64 - 1, previous=bytes(32)).encode()
    report = auditing(leaves=leaves)
    assert found(report) == [(6, Reason.BROKEN_CHAIN)]
    assert auditing().findings == report.findings, "it was remembered"


def test_a_root_that_is_not_that_of_the_entries(auditing):
    auditing.server.files = files_for(long_log(300))
    hashes = map_hashes(300)
    auditing.server.files["checkpoint"] = note_for((), hashes=[hashes[1], hashes[0], *hashes[2:]])
    assert found(auditing()) == [(None, Reason.BAD_CHECKPOINT)]


def test_a_checkpoint_of_more_than_there_is(auditing):
    """A server that lies about its size; what it does not show cannot be believed."""
    auditing.server.files = files_for(long_log(300))
    auditing.server.files["checkpoint"] = note_for(long_log(600))
    report = auditing()
    assert found(report) == [(None, Reason.NOT_FOUND)]
    assert "tile/entries/001: given HTTP status 404" in report.findings[0].message
    assert auditing.last.is_missing


def test_a_checkpoint_that_nobody_believes(auditing):
    auditing.server.files = files_for(long_log(10))
    auditing.server.files["checkpoint"] = note_for(long_log(10)).replace(b"\n10\n", b"\n11\n")
    with pytest.raises(BrokenProof) as caught:
        auditing()
    assert caught.value.reason is Reason.BAD_NOTE
    assert auditing.server.asked == ["checkpoint"]


# What was found stays found; what was missing is asked for again


def test_a_finding_stays_when_the_log_shows_something_else(auditing):
    auditing.server.files = files_for(long_log(700))
    changed_bundle(auditing, 0, lambda e: [*e[:9], flipped(e[9], 37), *e[10:]])
    before = auditing()
    assert not before.verified
    again = auditing(leaves=long_log(700))
    assert again.findings == before.findings
    later = auditing(leaves=long_log(900))
    assert not later.verified
    assert (9, Reason.BAD_ENTRY) in found(later)


@pytest.mark.parametrize("missing", ["tile/entries/001", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"])
def test_a_file_that_is_missing_for_a_while(auditing, missing):
    files = files_for(long_log(700))
    auditing.server.files = {path: content for path, content in files.items() if path != missing}
    for _ in range(2):
        report = auditing()
        assert found(report) == [(None, Reason.NOT_FOUND)]
        assert missing.partition(".p/")[0] in report.findings[0].message
    auditing.server.files = files
    report = auditing()
    assert report.verified, "nothing was lost"
    assert told(report) == told(audit(long_log(700), opened(auditing.last.note), hashes=map_hashes(700)))


def test_a_server_that_breaks_down_half_way(auditing):
    def refuse(handler):
        handler.send_error(403)

    auditing.server.files = files_for(long_log(700))
    auditing.server.tricks["tile/entries/001"] = refuse
    with pytest.raises(ServiceFault):
        auditing()
    auditing.server.tricks.clear()
    assert auditing().verified
    assert auditing.last.begun_at == 256, "what was judged is remembered"


# Forks and rollbacks


def test_a_rollback(auditing):
    auditing(leaves=long_log(300))
    with pytest.raises(BrokenProof) as caught:
        auditing(leaves=long_log(299))
    assert caught.value.reason is Reason.ROLLBACK
    assert opened(auditing.last.contradiction[0]).size == 300
    assert auditing(leaves=long_log(301)).verified, "an old copy is no proof of a crime"


def forked(size, at):
    """Another history: from some entry on all that is signed is the same, but recorded at other times."""
    leaves = long_log(size)
    entry = Entry.parse(leaves[at])
    leaves[at] = replace(entry, recorded_at_us=entry.recorded_at_us + 1).encode()
    return leaves


@pytest.mark.parametrize("size", [300, 301, 600])
def test_a_fork(auditing, size):
    auditing(leaves=long_log(300))
    with pytest.raises(BrokenProof) as caught:
        auditing(leaves=forked(size, 299))
    assert caught.value.reason is Reason.FORK
    assert opened(auditing.last.contradiction[0]).size == 300
    assert not any(path.startswith("tile/entries/") for path in auditing.server.asked)
    pair = auditing.last.contradiction
    with pytest.raises(BrokenProof) as again:
        auditing(leaves=long_log(600))
    assert again.value.reason is Reason.FORK, "it is not forgotten"
    assert auditing.last.contradiction == pair


def test_a_fork_behind_an_audit_that_was_interrupted(auditing):
    def interrupt(done, _):
        if done >= 512:
            raise Killed

    with pytest.raises(Killed):
        auditing(leaves=long_log(700), progress=interrupt, saved_every=256)
    report = auditing(leaves=forked(800, 650))
    assert auditing.last.begun_at == 512
    assert (None, Reason.FORK) in found(report)
    assert [one.size for one in report.contradicted] == [700]
    with pytest.raises(BrokenProof) as caught:
        auditing(leaves=long_log(900))
    assert caught.value.reason is Reason.FORK
    assert [opened(note).size for note in auditing.last.contradiction] == [700, 800]
    assert opened(auditing.last._moment.seen).size == 700, "what was seen before is not the fork"


@pytest.mark.parametrize("size", [1, 200, 256, 300, 500])
def test_a_checkpoint_from_elsewhere(auditing, size):
    honest = opened(note_for(long_log(size)))
    other = opened(note_for(forked(size, size - 1)))
    assert auditing(honest, leaves=long_log(300 if size <= 300 else 500)).verified
    assert auditing(honest, leaves=long_log(500)).verified
    with pytest.raises(BrokenProof) as caught:
        auditing(other)
    assert caught.value.reason is Reason.FORK
    assert opened(auditing.last.contradiction[0]) == other


def test_a_checkpoint_from_elsewhere_of_the_size_that_was_read(auditing):
    auditing(leaves=long_log(300))
    assert auditing(opened(note_for(long_log(300))), leaves=long_log(400)).verified
    auditing.path.unlink()
    auditing(leaves=long_log(300))
    other = opened(note_for(forked(300, 299)))
    with pytest.raises(BrokenProof) as caught:
        auditing(other, leaves=long_log(400))
    assert caught.value.reason is Reason.FORK
    assert opened(auditing.last.contradiction[0]) == other


def test_a_log_that_publishes_an_older_head_than_it_has_told(auditing):
    """Which a log with witnesses does: its tiles are there up to the newest head."""
    newest = opened(note_for(long_log(301)))
    auditing.server.files = {**files_for(long_log(301)), **files_for(long_log(300))}
    report = auditing(newest)
    assert report.verified
    assert report.size == 300
    other = opened(note_for(forked(301, 299)))
    with pytest.raises(BrokenProof) as caught:
        auditing(other)
    assert caught.value.reason is Reason.ROLLBACK, "it shows nothing that leads there"


def test_a_checkpoint_from_elsewhere_ahead_of_the_log(auditing):
    with pytest.raises(BrokenProof) as caught:
        auditing(opened(note_for(long_log(301))), leaves=long_log(300))
    assert caught.value.reason is Reason.ROLLBACK


def test_a_checkpoint_from_elsewhere_on_the_way(auditing):
    report = auditing(opened(note_for(forked(100, 99))), leaves=long_log(300))
    assert found(report) == [(None, Reason.FORK)]


# Interruptions


@pytest.mark.parametrize("seed", range(3))
def test_an_audit_that_is_interrupted_again_and_again(auditing, seed):
    choice = random.Random(seed)
    city, log = founded()
    for number in range(900):
        listing = city.listing(title=f"tea {number}")
        log.forge(altered(listing, signature=bytes(64)) if choice.random() < 0.01 else listing)
    auditing.server.files = files_for(log.leaves)
    for _ in range(3):
        stop = choice.randrange(1, 5)

        def interrupt(done, _, stop=stop):
            if done >= 256 * stop:
                raise Killed

        try:
            auditing(progress=interrupt, saved_every=choice.choice([1, 300, 600]))
        except Killed:
            continue
    report = auditing()
    assert told(report) == told(log.audit())


def test_memory_is_bounded(auditing):
    """Records in memory: those of one generation twice, those that wait to be saved, those of one section."""
    most = 0

    def look(*_):
        nonlocal most
        most = max(most, auditing.last._memory.state.held)

    assert auditing(leaves=long_log(2_000), progress=look, saved_every=256).verified
    assert most < 2 * 50 + 2 * 256 * 6
    assert MERCHANT in str(auditing.last._memory.path.read_bytes())
