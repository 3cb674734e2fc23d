from __future__ import annotations

from itertools import combinations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.cosignature import Cosigner
from ledger.errors import BadInput, BrokenProof, Reason
from ledger.merkle import EMPTY_ROOT
from ledger.note import ED25519, NoteSignature, NoteSigner, SignedNote, VerifierKey
from ledger.policy import MAX_BYTES, MAX_LINES, Group, Policy, PolicyLog, PolicyWitness

ORIGIN = "ledger.example/fuzhou"


def log(seed, name=ORIGIN):
    return NoteSigner(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def cosigner(seed, name=None):
    return Cosigner(
        name or f"witness.example/w{seed}", Ed25519PrivateKey.from_private_bytes(bytes([100 + seed]) * 32)
    )


LOG, NEW_LOG = log(1), log(2)
WITNESSES = [cosigner(seed) for seed in range(1, 7)]
W1, W2, W3, W4, W5, W6 = WITNESSES
NAMES = "abcdef"
DEFINED = f"log {LOG.vkey}\n" + "".join(
    f"witness {name} {one.vkey}\n" for name, one in zip(NAMES, WITNESSES, strict=True)
)
CHECKPOINT = Checkpoint(ORIGIN, 7, b"r" * 32)
NOTE = SignedNote.parse(sign_checkpoint(CHECKPOINT, LOG))


def parse(text):
    return Policy.parse(text.encode())


def refused(text, reason=Reason.INVALID_REQUEST):
    with pytest.raises(BadInput) as caught:
        Policy.parse(text if isinstance(text, bytes) else text.encode())
    assert caught.value.reason is reason
    return str(caught.value)


def cosigned(*cosigners, note=NOTE):
    return note.with_signatures(*(one.cosign(note.text, 1000 + n) for n, one in enumerate(cosigners)))


# What a policy says


def test_the_example_of_the_specification():
    policy = parse(
        f"log {LOG.vkey}\n\n"
        f"witness X1 {W1.vkey}\nwitness X2 {W2.vkey}\nwitness X3 {W3.vkey}\n"
        "group X-witnesses 2 X1 X2 X3\n\n"
        f"witness Y1 {W4.vkey}\nwitness Y2 {W5.vkey}\nwitness Y3 {W6.vkey}\n"
        "group Y-witnesses any Y1 Y2 Y3\n\n"
        "group X-and-Y all X-witnesses Y-witnesses\n"
        "quorum X-and-Y\n"
    )
    assert policy.groups == (
        Group("X-witnesses", 2, ("X1", "X2", "X3")),
        Group("Y-witnesses", 1, ("Y1", "Y2", "Y3")),
        Group("X-and-Y", 2, ("X-witnesses", "Y-witnesses")),
    )
    assert policy.needs_witnesses
    assert policy.describe(policy.quorum) == "2 of (2 of (X1, X2, X3), 1 of (Y1, Y2, Y3))"
    names = ["X1", "X2", "X3", "Y1", "Y2", "Y3"]
    for count in range(7):
        for some in combinations(names, count):
            enough = sum(name[0] == "X" for name in some) >= 2 and any(name[0] == "Y" for name in some)
            assert policy.satisfied_by(some) is enough


def test_urls_are_kept():
    policy = parse(
        f"log {LOG.vkey} https://log.example/\nwitness w {W1.vkey} https://w.example/证\nquorum w\n"
    )
    assert policy.logs == (PolicyLog(LOG.vkey, "https://log.example/"),)
    assert policy.witnesses == (PolicyWitness("w", W1.vkey, "https://w.example/证"),)


def test_blanks_comments_and_empty_lines():
    policy = parse(f"\n \t \n# a comment\n\t  #another: 注\n\tlog \t {LOG.vkey} \t\n  quorum\tnone  \n#\n")
    assert policy == Policy(logs=(PolicyLog(LOG.vkey),), quorum="none")
    assert policy.text.startswith("\n \t \n# a comment")


def test_a_number_sign_within_a_line_begins_no_comment():
    assert refused("quorum none # nobody\n").startswith("policy, line 1: line: given 'quorum none # nobody'")


def test_without_witnesses():
    policy = parse("quorum none\n")
    assert policy == Policy()
    assert not policy.needs_witnesses
    assert policy.satisfied_by(())
    assert policy.require_quorum(NOTE) == ()


def test_the_order_of_logs_and_witnesses_does_not_matter():
    policy = parse(f"witness w {W1.vkey}\nquorum w\nlog {LOG.vkey}\nwitness late {W2.vkey}\n")
    assert [witness.name for witness in policy.witnesses] == ["w", "late"]


def test_a_quorum_of_one_witness():
    policy = parse(f"{DEFINED}quorum c\n")
    assert policy.satisfied_by(["c"])
    assert policy.satisfied_by("abc")
    assert not policy.satisfied_by("abdef")
    assert not policy.satisfied_by(())


@pytest.mark.parametrize(("threshold", "needed"), [("any", 1), ("all", 6), ("1", 1), ("4", 4), ("6", 6)])
def test_thresholds(threshold, needed):
    policy = parse(f"{DEFINED}group g {threshold} a b c d e f\nquorum g\n")
    for count in range(7):
        assert policy.satisfied_by(NAMES[:count]) is (count >= needed)


def test_keys_of_a_log_that_changes_its_key():
    other = log(3, "other.example")
    policy = parse(f"log {LOG.vkey}\nlog {other.vkey}\nlog {NEW_LOG.vkey}\nquorum none\n")
    assert policy.keys_of(ORIGIN) == (LOG.vkey, NEW_LOG.vkey)
    assert policy.keys_of("other.example") == (other.vkey,)
    assert policy.keys_of("unknown") == ()


def test_an_ml_dsa_44_witness_beside_an_ed25519_one():
    post = Cosigner("witness.example/w1", MLDSA44PrivateKey.from_seed_bytes(b"s" * 32))
    policy = parse(f"witness old {W1.vkey}\nwitness new {post.vkey}\ngroup both all old new\nquorum both\n")
    assert policy.names_of(policy.require_quorum(cosigned(W1, post))) == ("old", "new")
    with pytest.raises(BrokenProof):
        policy.require_quorum(cosigned(post))


def test_many_of_each_are_read():
    text = "".join(f"log {log(seed, f'log{seed}').vkey}\n" for seed in range(1, 101))
    text += "".join(f"witness w{seed} {cosigner(seed).vkey}\n" for seed in range(1, 101))
    text += "group g1 any w1\n" + "".join(f"group g{n} all w{n} g{n - 1}\n" for n in range(2, 101))
    policy = parse(f"{text}quorum g100\n")
    everyone = [f"w{n}" for n in range(1, 101)]
    assert policy.satisfied_by(everyone)
    assert not any(policy.satisfied_by(everyone[:n] + everyone[n + 1 :]) for n in range(100))


def test_groups_as_deep_as_lines_allow():
    lines = [
        f"witness w {W1.vkey}",
        "group g0 any w",
        *(f"group g{n} any g{n - 1}" for n in range(1, MAX_LINES - 3)),
    ]
    policy = parse("\n".join([*lines, f"quorum g{MAX_LINES - 4}", ""]))
    assert policy.satisfied_by(["w"])
    assert policy.describe(policy.quorum) == "1 of (" * (MAX_LINES - 3) + "w" + ")" * (MAX_LINES - 3)


# Octets


def test_names_are_opaque_octets():
    raw = (
        b"witness K " + str(W1.vkey).encode() + b"\n"
        b"witness \xe2\x84\xaa " + str(W2.vkey).encode() + b"\n"  # the Kelvin sign
        b"witness \xff\x80 " + str(W3.vkey).encode() + b"\n"  # no UTF-8 at all
        b"witness a\xc2\xa0b " + str(W4.vkey).encode() + b"\n"  # a blank that separates nothing
        b"group g all K \xe2\x84\xaa \xff\x80 a\xc2\xa0b\nquorum g\n"
    )
    policy = Policy.parse(raw)
    assert policy.text.encode("utf-8", "surrogateescape") == raw
    names = [witness.name for witness in policy.witnesses]
    assert len(set(names)) == 4
    assert policy.satisfied_by(names)
    assert not policy.satisfied_by(names[1:])
    assert policy.describe("g") == "4 of (K, \u212a, \ufffd\ufffd, a\xa0b)"
    with pytest.raises(BrokenProof) as caught:
        policy.require_quorum(cosigned(W3))
    str(caught.value).encode()  # can be printed, whatever the names are


@pytest.mark.parametrize("octet", [*range(9), *range(0x0B, 0x20), 0x7F])
def test_control_characters(octet):
    raw = b"# one\n# two" + bytes([octet]) + b"\nquorum none\n"
    message = refused(raw)
    assert message == (
        f"policy, line 2: character: given {bytes([octet])!r}, "
        "expected no control characters but tab and newline"
    )


@given(st.binary(max_size=20).filter(lambda octets: not any(o < 0x20 or o == 0x7F for o in octets)))
def test_all_other_octets_may_stand_in_a_comment(octets):
    assert Policy.parse(b"#" + octets + b"\t\nquorum none\n") == Policy()


# What it may not say

VKEY = W1.vkey
KEY_FORMS = "log VKEY [URL], witness NAME VKEY [URL], group NAME any|all|NUMBER NAME…, or quorum NAME"


@pytest.mark.parametrize(
    "line",
    [
        "log",
        f"log {LOG.vkey} url more",
        "witness",
        f"witness {VKEY}",
        f"witness g {VKEY} url more",
        "group",
        "group g",
        "quorum",
        "quorum a b",
        "Quorum none",
        "quorum: none",
        "LOG x",
        "\xa0quorum none",
        "watch a",
    ],
)
def test_lines_of_another_form(line):
    message = refused(f"{DEFINED}{line}\nquorum none\n")
    assert message == f"policy, line 8: line: given {line[:80]!r}, expected {KEY_FORMS}"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "policy: given no quorum line, expected exactly one"),
        ("quorum a\nquorum a\n", "policy, line 9: quorum: given a second quorum line, expected exactly one"),
        (
            "quorum none\nquorum none\n",
            "policy, line 9: quorum: given a second quorum line, expected exactly one",
        ),
        ("quorum z\n", "policy, line 8: quorum: given z, expected none, or a name defined above"),
        ("quorum A\n", "policy, line 8: quorum: given A, expected none, or a name defined above"),
        (
            "quorum g\ngroup g any a\n",
            "policy, line 8: quorum: given g, expected none, or a name defined above",
        ),
        ("group g all\nquorum g\n", "policy, line 8: group g: given no members, expected at least one"),
        (
            "group g any h\ngroup h any a\nquorum g\n",
            "policy, line 8: member of group g: given h, not defined, expected a name defined above, used once",
        ),
        (
            "group g any g\nquorum g\n",
            "policy, line 8: member of group g: given g, not defined, expected a name defined above, used once",
        ),
        (
            "group g any none\nquorum g\n",
            "policy, line 8: member of group g: given none, not defined, expected a name defined above, used once",
        ),
        (
            "group g any a a\nquorum g\n",
            "policy, line 8: member of group g: given a, a member already, expected a name defined above, used once",
        ),
        (
            "group g any a b\ngroup h any c a\nquorum g\n",
            "policy, line 9: member of group h: given a, a member already, expected a name defined above, used once",
        ),
        (
            "group g any a\ngroup h any g b\ngroup i any c g\nquorum i\n",
            "policy, line 10: member of group i: given g, a member already, expected a name defined above, used once",
        ),
        (
            "group a any b\nquorum a\n",
            "policy, line 8: name: given a, expected a name of its own, and not `none`",
        ),
        (
            "group none any b\nquorum a\n",
            "policy, line 8: name: given none, expected a name of its own, and not `none`",
        ),
        (
            f"witness a {cosigner(9).vkey}\nquorum a\n",
            "policy, line 8: name: given a, expected a name of its own, and not `none`",
        ),
        (
            f"witness none {cosigner(9).vkey}\nquorum none\n",
            "policy, line 8: name: given none, expected a name of its own, and not `none`",
        ),
        (
            f"group g any a\nwitness g {cosigner(9).vkey}\nquorum g\n",
            "policy, line 9: name: given g, expected a name of its own, and not `none`",
        ),
        (
            f"witness g {cosigner(1, 'renamed.example').vkey}\nquorum g\n",
            "policy, line 8: witness: given a public key that stands there already, expected each key once",
        ),
        (
            f"log {LOG.vkey}\nquorum none\n",
            "policy, line 8: log: given a public key that stands there already, expected each key once",
        ),
        (
            f"log {log(1, 'renamed.example').vkey}\nquorum none\n",
            "policy, line 8: log: given a public key that stands there already, expected each key once",
        ),
    ],
)
def test_contradictions(lines, message):
    assert refused(f"{DEFINED}{lines}") == message


@pytest.mark.parametrize(
    "threshold", ["0", "7", "-1", "+1", "01", "1.0", "ANY", "All", "½", "٣", "10000", "x" * 99]
)
def test_bad_thresholds(threshold):
    assert refused(f"{DEFINED}group g {threshold} a b c d e f\nquorum g\n") == (
        f"policy, line 8: threshold of group g: given {threshold[:20]!r}, expected any, all, or 1 to 6"
    )


def test_keys_that_are_none():
    assert refused("log no-key\nquorum none\n", Reason.BAD_KEY) == (
        "policy, line 1: verifier key: given 'no-key', "
        "expected <name>+<8 lowercase hexadecimal digits>+<base64>"
    )
    wrong = f"{ORIGIN}+00000000+{str(LOG.vkey).rpartition('+')[2]}"
    assert refused(f"\nlog {wrong}\nquorum none\n", Reason.BAD_KEY).startswith(
        f"policy, line 2: id of verifier key '{ORIGIN}': given 00000000"
    )
    assert "\\udcff" in refused(b"log \xff\nquorum none\n", Reason.BAD_KEY)


def test_keys_of_the_wrong_type():
    as_log = VerifierKey.of("x", W1.vkey.public_key, ED25519)
    assert refused(f"log {W1.vkey}\nquorum none\n", Reason.UNSUPPORTED_ALGORITHM) == (
        "policy, line 1: key type: given 0x04, expected 0x01 (Ed25519)"
    )
    assert refused(f"witness w {as_log}\nquorum w\n", Reason.UNSUPPORTED_ALGORITHM) == (
        "policy, line 1: key type: given 0x01, expected 0x04 or 0x06 (cosignature)"
    )


def test_the_same_key_for_a_log_and_a_witness_is_no_duplicate():
    both = Cosigner("w", LOG.private_key)
    assert parse(f"log {LOG.vkey}\nwitness w {both.vkey}\nquorum w\n").satisfied_by(["w"])


def test_the_end_and_the_bounds():
    assert refused("quorum none") == "end of the policy: given b'quorum none', expected a newline"
    assert refused("") == "policy: given no quorum line, expected exactly one"
    assert refused("\n" * (MAX_LINES + 1)) == (
        f"policy: given {MAX_LINES + 1} lines, expected at most {MAX_LINES} lines"
    )
    assert refused(b"#" * MAX_BYTES + b"\n") == (
        f"policy: given {MAX_BYTES + 1} bytes, expected at most {MAX_BYTES} bytes"
    )
    assert parse("\n" * (MAX_LINES - 1) + "quorum none\n") == Policy()


@given(
    st.lists(
        st.sampled_from(
            [b"log", b"witness", b"group", b"quorum", b"none", b"any", b"2", b"a", b"b", b"\xff", b" ", b"\t",
             b"\n", b"#", str(LOG.vkey).encode(), str(VKEY).encode()]
        )
    ).map(b" ".join)
)  # fmt: skip
@settings(max_examples=300)
def test_whatever_is_given_is_a_policy_or_a_clear_error(raw):
    try:
        policy = Policy.parse(raw + b"\n")
    except BadInput as error:
        str(error).encode()
    else:
        assert policy.text.encode("utf-8", "surrogateescape") == raw + b"\n"
        assert policy.satisfied_by([witness.name for witness in policy.witnesses])


# Checkpoints under a policy

TWO = parse(f"{DEFINED}group g 2 a b c\nquorum g\n")


def test_a_quorum_is_found():
    checkpoint, counted = TWO.open(cosigned(W3, W6, W1).encode(), ORIGIN)
    assert checkpoint == CHECKPOINT
    assert TWO.names_of(counted) == ("a", "c", "f")
    assert [one.time_s for one in counted] == [1002, 1000, 1001]


def test_too_few_have_seen_it():
    with pytest.raises(BrokenProof) as caught:
        TWO.open(cosigned(W3, W6).encode(), ORIGIN)
    assert caught.value.reason is Reason.UNWITNESSED
    assert str(caught.value) == (
        f"cosignatures of the checkpoint of {ORIGIN}: given c, f, expected a quorum: 2 of (a, b, c)"
    )
    with pytest.raises(BrokenProof) as caught:
        TWO.require_quorum(NOTE)
    assert str(caught.value).endswith("given none that count, expected a quorum: 2 of (a, b, c)")


def test_nobody_counts_twice():
    note = NOTE.with_signatures(*(W1.cosign(NOTE.text, time_s) for time_s in range(1, 9)))
    with pytest.raises(BrokenProof) as caught:
        TWO.require_quorum(note)
    assert caught.value.reason is Reason.UNWITNESSED


def test_a_cosignature_of_another_checkpoint_does_not_count():
    other = SignedNote.parse(sign_checkpoint(Checkpoint(ORIGIN, 8, b"r" * 32), LOG))
    [stolen] = cosigned(W1, note=other).signatures[1:]
    with pytest.raises(BrokenProof) as caught:
        TWO.require_quorum(cosigned(W2, W3).with_signatures(stolen))
    assert caught.value.reason is Reason.BAD_NOTE


def test_witnesses_do_not_stand_in_for_the_log():
    unsigned = SignedNote(NOTE.text, cosigned(*WITNESSES).signatures[1:])
    with pytest.raises(BrokenProof) as caught:
        TWO.open(unsigned.encode(), ORIGIN)
    assert caught.value.reason is Reason.BAD_NOTE
    with pytest.raises(BadInput) as unknown:
        TWO.open(cosigned(*WITNESSES).encode(), "other.example")
    assert unknown.value.reason is Reason.BAD_KEY


def test_a_log_that_changes_its_key_may_sign_with_either():
    policy = parse(f"log {LOG.vkey}\nlog {NEW_LOG.vkey}\nquorum none\n")
    for signers in [(LOG,), (NEW_LOG,), (LOG, NEW_LOG)]:
        note = SignedNote.sign(CHECKPOINT.text(), *signers).encode()
        assert policy.open(note, ORIGIN) == (CHECKPOINT, ())


def test_names_and_ids_of_others_are_ignored():
    strange = NoteSignature("witness.example/w1", b"0000", b"x" * 72)
    assert TWO.require_quorum(cosigned(W1, W2).with_signatures(strange))


@given(st.sets(st.integers(0, 5)), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
@settings(max_examples=80)
def test_quorums_are_as_a_naive_count_says(seen, first, second, top):
    policy = parse(f"{DEFINED}group x {first} a b c\ngroup y {second} d e f\ngroup q {top} x y\nquorum q\n")
    enough = (len(seen & {0, 1, 2}) >= first) + (len(seen & {3, 4, 5}) >= second) >= top
    note = cosigned(*(WITNESSES[n] for n in sorted(seen))).encode()
    if enough:
        assert policy.names_of(policy.require_quorum(note)) == tuple(NAMES[n] for n in sorted(seen))
    else:
        with pytest.raises(BrokenProof) as caught:
            policy.require_quorum(note)
        assert caught.value.reason is Reason.UNWITNESSED


def test_the_empty_tree_may_be_witnessed():
    policy = parse(f"{DEFINED}quorum a\n")
    empty = SignedNote.parse(sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT), LOG))
    assert policy.open(cosigned(W1, note=empty).encode(), ORIGIN)[0].size == 0
