"""`roamkey completion`: what has a shell complete roamkey's words."""

from enum import Enum
from typing import Annotated

import typer

_BASH = """\
_roamkey() {
    local IFS=$'\\n'
    COMPREPLY=($(_ROAMKEY_COMPLETE=1 "${COMP_WORDS[0]}" "${COMP_WORDS[@]:1:COMP_CWORD}" \\
        2>/dev/null | cut -f 1))
}
complete -o default -F _roamkey roamkey
"""

_ZSH = """\
#compdef roamkey
_roamkey() {
    local -a found described
    found=("${(@f)$(_ROAMKEY_COMPLETE=1 "${words[1]}" "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    found=("${(@)found:#}")
    if (( ${#found} )); then
        described=("${(@)${(@)found//:/\\\\:}/$'\\t'/:}")
        _describe roamkey described
    else
        _files
    fi
}
if [[ "$funcstack[1]" = _roamkey ]]; then _roamkey "$@"; else compdef _roamkey roamkey; fi
"""

_FISH = """\
function __roamkey
    set -l words (commandline -opc) (commandline -ct)
    set -l found (_ROAMKEY_COMPLETE=1 $words[1] $words[2..-1] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete --command roamkey --no-files --arguments '(__roamkey)'
"""


class Shell(str, Enum):
    """A shell that can be taught."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


_SCRIPTS = {Shell.bash: _BASH, Shell.zsh: _ZSH, Shell.fish: _FISH}


def completion(shell: Annotated[Shell, typer.Argument(help="The shell that reads it.")]) -> None:
    """Print what has a shell complete roamkey's words: for bash, zsh or fish.

    For good: bash reads it from ~/.local/share/bash-completion/completions/roamkey, fish from
    ~/.config/fish/completions/roamkey.fish, zsh from a file _roamkey in a folder of its fpath.
    """
    typer.echo(_SCRIPTS[shell], nl=False)
