"""What needs nft is left out where there is none, and said to be; CI has it."""

import os

import pytest

from roamkey.lab.namespaces import nft_program

NEEDS_NFT = pytest.mark.skipif(
    nft_program() is None and not os.environ.get("CI"),
    reason="needs nft (Debian, Ubuntu: apt install nftables)",
)
