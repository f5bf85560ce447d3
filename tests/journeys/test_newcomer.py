"""The newcomer's first hour: from nothing to a playground, by the lines that README prints."""

from support.account import Account


def test_an_empty_account_has_nothing_and_is_told_what_to_do(tmp_path):
    with Account(tmp_path) as somebody:
        assert not somebody.registry.exists()
        said = somebody.run(".venv/bin/roamkey provision --port /dev/null").ended(1, 2, 3, 4)
        assert len(said.errors.splitlines()) < 12
        somebody.run(".venv/bin/roamkey init").ok()
        assert somebody.registry.exists()
