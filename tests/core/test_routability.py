"""The return routability procedure against a scripted correspondent, in virtual time."""

import hashlib

from mip6 import keys, messages
from mip6.routability.procedure import CARE_OF, HOME, Procedure

COA1 = bytes.fromhex("20010db8000100000000000000000001")
COA2 = bytes.fromhex("20010db8000200000000000000000001")
TOKENS = {HOME: b"home-tok", CARE_OF: b"care-tok"}


class Cookies:
    """Cookies that tell themselves apart."""

    def __init__(self):
        self.made = 0

    def __call__(self, octets):
        self.made += 1
        return self.made.to_bytes(octets, "big")


def begun(now=0):
    procedure = Procedure(Cookies())
    procedure.aim(COA1)
    procedure.want(now)
    return procedure


def drain(procedure, now, tunnel=True):
    found = []
    while True:
        due = procedure.run(now, tunnel)
        if due is None:
            return found
        found.append(due)


def answer(which, init, index=7):
    """The correspondent's answer to an init."""
    message = messages.decode(init)
    if which == HOME:
        return messages.Message(
            messages.HOME_TEST,
            home_nonce_index=index,
            home_init_cookie=message.home_init_cookie,
            home_keygen_token=TOKENS[HOME],
        )
    return messages.Message(
        messages.CARE_OF_TEST,
        care_of_nonce_index=index,
        care_of_init_cookie=message.care_of_init_cookie,
        care_of_keygen_token=TOKENS[CARE_OF],
    )


def heard(procedure, which, init, index=7):
    return procedure.receive(which, answer(which, init, index).encode())


def finished(now=0):
    procedure = begun(now)
    for which, init in drain(procedure, now):
        assert heard(procedure, which, init, 7 + which)
    return procedure


def test_both_tests_leave_at_once_and_differ():
    sent = drain(begun(5), 5)
    assert [which for which, _ in sent] == [HOME, CARE_OF]
    first, second = (messages.decode(init) for _, init in sent)
    assert (first.kind, second.kind) == (messages.HOME_TEST_INIT, messages.CARE_OF_TEST_INIT)
    assert first.home_init_cookie != second.care_of_init_cookie


def test_without_a_tunnel_the_home_test_waits_for_it():
    procedure = begun()
    assert [which for which, _ in drain(procedure, 0, tunnel=False)] == [CARE_OF]
    assert procedure.wakes_at(False, True) == 1000
    assert procedure.wakes_at(True, True) == 0
    assert [which for which, _ in drain(procedure, 50)] == [HOME]


def test_two_tokens_give_kbm():
    procedure = finished()
    assert procedure.ready(100)
    kbm = hashlib.sha1(TOKENS[HOME] + TOKENS[CARE_OF]).digest()
    header = b"x" * 30
    assert keys.hmac_sha1(procedure.key(), header) == keys.hmac_sha1(keys.hmac_key(kbm), header)
    assert procedure.indices() == b"\0\x07\0\x08"
    kbm = hashlib.sha1(TOKENS[HOME]).digest()
    deletes = procedure.key(deletes=True)
    assert keys.hmac_sha1(deletes, header) == keys.hmac_sha1(keys.hmac_key(kbm), header)
    assert procedure.indices(deletes=True) == b"\0\x07\0\0"


def test_what_nobody_answers_is_repeated_under_the_same_cookie_ever_more_seldom():
    procedure = begun()
    times, cookies = [], set()
    now = 0
    for _ in range(9):
        sent = dict(drain(procedure, now))
        cookies.add(bytes(sent[CARE_OF]))
        times.append(procedure.wakes_at(True, True) - now)
        now = procedure.wakes_at(True, True)
    assert times == [1000, 2000, 4000, 8000, 16000, 32000, 32000, 32000, 32000]
    assert len(cookies) == 1
    assert heard(procedure, CARE_OF, cookies.pop())  # however late


def test_a_token_is_as_old_as_its_first_question():
    procedure = begun()
    first = dict(drain(procedure, 0))
    drain(procedure, 1000)
    for which in (HOME, CARE_OF):
        heard(procedure, which, first[which])
    assert procedure.ready(209999)
    assert not procedure.ready(210000)


def test_answers_to_nothing_count_for_nothing():
    procedure = begun()
    sent = dict(drain(procedure, 0))
    wrong = answer(HOME, sent[HOME])
    wrong.home_init_cookie = b"\xff" * 8
    assert not procedure.receive(HOME, wrong.encode())
    assert not heard(procedure, HOME, sent[HOME][:8] + sent[CARE_OF][8:])
    right = answer(HOME, sent[HOME]).encode()
    assert procedure.receive(HOME, right)
    assert not procedure.receive(HOME, right)  # again
    assert not procedure.ready(10)


def test_an_answer_before_the_question_left_is_none():
    procedure = begun()
    guessed = messages.Message(messages.CARE_OF_TEST, care_of_init_cookie=(2).to_bytes(8, "big"))
    assert not procedure.receive(CARE_OF, guessed.encode())


def test_a_move_keeps_the_home_token_and_tests_the_new_address_alone():
    procedure = finished()
    procedure.aim(COA2)
    assert procedure.can_delete(500)
    assert not procedure.ready(500)
    procedure.want(500)
    sent = drain(procedure, 500)
    assert [which for which, _ in sent] == [CARE_OF]
    heard(procedure, sent[0][0], sent[0][1])
    assert procedure.ready(600)


def test_moves_in_a_row_are_tested_three_times_a_second_at_most():
    procedure = finished()
    sent = []
    for now in range(1000, 6000, 10):
        procedure.aim(COA2 if now // 10 % 2 else COA1)
        procedure.want(now)
        sent += [now for _ in drain(procedure, now)]
    for index in range(3, len(sent)):
        assert sent[index] - sent[index - 3] >= 1000
    assert len(sent) > 10


def test_the_home_token_is_renewed_while_it_serves():
    procedure = finished()
    assert procedure.wakes_at(True, True) == 150000
    assert procedure.wakes_at(True, False) is None
    procedure.keep(149999)
    assert drain(procedure, 149999) == []
    procedure.keep(150000)
    ((which, init),) = drain(procedure, 150000)
    assert which == HOME
    assert procedure.can_delete(160000)  # the old one goes on serving
    heard(procedure, which, init)
    assert procedure.can_delete(150000 + 209999)


def test_a_refused_token_is_fetched_again():
    for status, lost in (
        (messages.EXPIRED_HOME_NONCE, [HOME]),
        (messages.EXPIRED_CARE_OF_NONCE, [CARE_OF]),
        (messages.EXPIRED_NONCES, [HOME, CARE_OF]),
    ):
        procedure = finished()
        procedure.refused(status)
        assert not procedure.ready(100)
        procedure.want(1000)
        assert [which for which, _ in drain(procedure, 1000)] == lost


def test_nothing_is_sent_after_the_end():
    procedure = begun()
    sent = dict(drain(procedure, 0))
    procedure.cease()
    assert drain(procedure, 100000) == []
    assert not heard(procedure, HOME, sent[HOME])
    assert procedure.wakes_at(True, True) is None
