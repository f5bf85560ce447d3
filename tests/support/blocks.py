"""The programs that a document prints: blocks of Python whose first line names their file."""

import re
from pathlib import Path

_BLOCK = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ANY = re.compile(r"^```python\n", re.MULTILINE)


def programs(document: Path) -> dict[str, str]:
    """File name to text, in the order of the document. A block without a name is a mistake."""
    text = document.read_text(encoding="utf-8")
    found = {name: f"# {name}\n{body}" for name, body in _BLOCK.findall(text)}
    assert len(found) == len(_ANY.findall(text)), "a block without a name of its own"
    return found
