"""Scripts of walks: what may stand in them, and what is said of what may not.

That a script is walked as it says, tests/field/test_walk_report.py checks by the capture.
"""

import pytest

from roamkey.errors import BadInputError
from roamkey.lab.walk import script

STEP = '[[step]]\nmove = "visited1"\n'


def read(tmp_path, text):
    path = tmp_path / "walk.toml"
    path.write_text(text)
    return script.read(path)


def test_the_examples_can_be_walked():
    examples = script.examples()
    assert list(examples) == ["campus", "errand", "fleet"]
    for path in examples.values():
        assert script.read(path).moves
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
    ],
)
def test_one_line_says_what_is_wrong_and_where(tmp_path, text, what):
    with pytest.raises(BadInputError, match=what) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_neither_a_file_nor_an_example():
    with pytest.raises(BadInputError, match="campus, errand, fleet"):
        script.find("nowhere")
