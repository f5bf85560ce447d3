"""Scripts of walks: what may stand in them, and what is said of what may not.

That a script is walked as it says, tests/field/test_walk_report.py checks by the capture.
"""

import pytest

from roamkey.errors import BadInputError
from roamkey.lab.conditions import KINDS, RESOLVERS, Conditions
from roamkey.lab.walk import script

STEP = '[[step]]\nmove = "visited1"\n'


def read(tmp_path, text):
    path = tmp_path / "walk.toml"
    path.write_text(text)
    return script.read(path)


def test_the_examples_can_be_walked():
    examples = script.examples()
    assert list(examples) == [
        "cafe", "campus", "captive", "errand", "filters", "fleet", "forgetful", "names",
    ]  # fmt: skip
    given = set()
    for path in examples.values():
        read_ = script.read(path)
        assert read_.moves
        given |= set(read_.networks.values())
        moves = {step.network for step in read_.steps if step.kind == "move"}
        assert moves >= set(read_.networks), "a network that nobody visits"
    assert {one.kind for one in given} | {"dual"} == set(KINDS)
    assert {one.resolver for one in given} == set(RESOLVERS)
    campus = script.read(script.find("campus"))
    assert campus.moves == 20 and campus.loss_percent
    assert sum(step.kind == "cut" for step in campus.steps) == 2
    assert len({step.network for step in campus.steps if step.kind == "move"}) == 3


def test_what_is_left_out_has_a_default(tmp_path):
    found = read(tmp_path, STEP)
    assert (found.name, found.boards, found.dad, found.delay_ms) == ("walk", 1, True, 0.0)
    assert found.steps == (script.Step("move", 0.0, network="visited1"),)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "at least one"),
        ("name = ", "walk.toml"),
        (STEP + 'mvoe = "home"', "unknown: mvoe"),
        ('[[step]]\nmove = "moon"', "step 1: networks are"),
        (STEP + "[[step]]\ncut_s = -1", "step 2: cut_s"),
        (STEP + "cut_s = 1.0", "step 1: one of"),
        ("boards = 0\n" + STEP, "boards: 1 to 32"),
        (STEP + "board = 2", "board is a number from 1 to 1"),
        (STEP + "stay_s = true", "stay_s is a number"),
        ("[way]\nloss_percent = 101\n" + STEP, "loss_percent is a number from 0 to 100"),
        ("way = 3\n" + STEP, r"\[way\]"),
        ("network = 3\n" + STEP, r"\[network.NAME\]"),
        ("[network.cafe]\nkind = 4\n" + STEP, r"\[network.cafe\]: kind is one of native, ipv4"),
        ("[network.cafe]\ncaptive_s = -1\n" + STEP, r"\[network.cafe\]: captive_s is a number"),
        ('[network.cafe]\nresolver = "lies"\n' + STEP, r"\[network.cafe\]: resolver is one of"),
        ("[network.cafe]\ncolour = 1\n" + STEP, r"\[network.cafe\]: unknown: colour"),
        ('[network.home]\nkind = "ipv4"\n' + STEP, "home is native"),
        ("[network.Bar]\n" + STEP, "'Bar': a name has"),
        ('reach = ["nobody.test"]\n' + STEP, "reach is a list of 2001:db8:c::2, 203.0.113.2"),
        (STEP + "[[step]]\nforget = true\nleave = true", "step 2: one of"),
    ],
)
def test_one_line_says_what_is_wrong_and_where(tmp_path, text, what):
    with pytest.raises(BadInputError, match=what) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_networks_of_a_script(tmp_path):
    text = '[network.cafe]\nkind = "ipv4"\ncaptive_s = 2\n[[step]]\nmove = "cafe"\n'
    found = read(tmp_path, text + "[[step]]\nforget = true\n")
    assert found.networks == {"cafe": Conditions("ipv4", 2.0)}
    assert [step.kind for step in found.steps] == ["move", "forget"]
    assert found.reach == ("2001:db8:c::2", "203.0.113.2")
    assert read(tmp_path, STEP).reach == () and not read(tmp_path, STEP).networks


def test_neither_a_file_nor_an_example():
    with pytest.raises(BadInputError, match="campus, captive, errand"):
        script.find("nowhere")
