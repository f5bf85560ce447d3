"""Short names for what the agent's modules share, before a board's files are compiled.

Each name that bytecode mentions is a string that the board keeps in RAM once (some 18 octets) and
that each file carries: a third of the files were names. Here functions, classes, attributes and
variables that the agent's own modules define get names of two letters, and parameters that nobody
names in a call get one letter. What one module alone mentions gets a name that other modules use
for theirs as well, unless a class has a base from elsewhere: attributes of both would share an
object. As an object's class isn't known here, a name is left alone wherever it might be somebody
else's:
- those that Python, MicroPython or a board's built-in modules have, too (`FOREIGN`);
- those that stand in a string (`getattr`, fields of messages) or name an argument in a call;
- those of the modules that applications and the REPL use (`PUBLIC`).
"""

import ast
import asyncio
import binascii
import builtins
import errno
import hashlib
import io
import json
import os
import select
import socket
import struct
import sys
import time
import types
from collections.abc import Iterator, Mapping
from itertools import product
from keyword import iskeyword
from string import ascii_lowercase, ascii_uppercase

from roamkey.bytecode import naming
from roamkey.bytecode.privatenames import inherits

#: Modules whose names are for programs outside the agent.
PUBLIC = frozenset(
    f"mip6.{name}" for name in ("addresses", "clock", "compat", "datagrams", "errors", "keys")
)

_PYTHON = (
    *(value for value in vars(builtins).values() if isinstance(value, type)),
    *(asyncio, asyncio.AbstractEventLoop, asyncio.Event, asyncio.StreamReader, asyncio.Task),
    *(binascii, builtins, errno, hashlib, hashlib.sha1(), json, os, select, socket, struct, sys),
    *(io.BufferedReader, io.FileIO, io.TextIOWrapper, select.poll(), socket.socket, time),
    *(types.FunctionType, types.GeneratorType, types.ModuleType),
)
_MICROPYTHON = (
    "ROOT main RTC STA_IF WLAN WDT Pin Timer active addresses autoconf6 config connect const core "
    "datetime disconnect feed ifconfig ip6sta ipconfig isconnected kbd_intr link mac machine "
    "mem16 mem32 mem8 memory mount network new_event_loop nic queue_read queue_write remove "
    "reset scan sha1 sleep_ms solicit start status stop ticks_add ticks_diff ticks_ms ticks_us "
    "umount unique_id vfs "
)
#: Names that objects have which aren't the agent's.
FOREIGN = frozenset(_MICROPYTHON.split()).union(*(dir(thing) for thing in _PYTHON))


def shorten_shared(sources: Mapping[str, str]) -> dict[str, str]:
    """The sources of a package's modules, by full name, with shared names shortened."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    places: dict[str, set[str]] = {}  # name -> modules that mention it
    kept = set(FOREIGN)
    for module, tree in trees.items():
        kept.update(module.split("."))
        kept.update(_outside(tree, trees))
        for name in _identifiers(tree):
            places.setdefault(name, set()).add(module)
        if module in PUBLIC:
            kept.update(name for name in _defined(tree) if not name.startswith("_"))
    kept.update(name for name in places if len(name) <= 2 or name.startswith(("__", "test_")))
    heirs = {module for module, tree in trees.items() if inherits(tree)}
    fresh = (name for name in _short_names(ascii_lowercase) if name not in kept)
    shared: dict[str, str] = {}
    keywords = {name for tree in trees.values() for name in _keywords(tree)}
    for module, tree in trees.items():
        own = (name for name in _short_names(ascii_uppercase) if name not in kept)
        names = {}
        for name in sorted(_defined(tree) - kept):
            if places[name] == {module} and module not in heirs:
                names[name] = next(own)
            elif name not in shared:
                shared[name] = next(fresh)
        trees[module] = naming.Renamer(names, imported=True).visit(tree)
    for module, tree in trees.items():
        naming.Renamer(shared, imported=True).visit(tree)
        _Parameters(keywords, module == "mip6.datagrams").visit(tree)
    return {name: ast.unparse(tree) for name, tree in trees.items()}


def _short_names(letters: str) -> Iterator[str]:
    for first, second in product(letters, ascii_lowercase):
        if not iskeyword(first + second):
            yield first + second


def _identifiers(tree: ast.AST) -> Iterator[str]:
    """Every name in a piece of source, once for each place."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield value
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            yield from node.names


def _defined(tree: ast.Module) -> set[str]:
    """Names of functions and classes, attributes of `self`, variables outside functions."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found |= {node.attr} if _base(node) == "self" else set()
        if isinstance(node, (ast.Module, ast.ClassDef, ast.If, ast.Try, ast.ExceptHandler)):
            found |= {name for statement in node.body for name in _targets(statement)}
    return found


def _base(node: ast.Attribute) -> str | None:
    """The name before the dot of `name.attribute`."""
    return node.value.id if isinstance(node.value, ast.Name) else None


def _targets(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            for node in ast.walk(target):
                if isinstance(node, ast.Name):
                    yield node.id


def _keywords(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg is not None:
            yield node.arg


def _outside(tree: ast.Module, modules: Mapping[str, object]) -> Iterator[str]:
    """Names that may mean something to others: texts, keywords, what other packages have."""
    yield from _keywords(tree)
    foreign = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Import):
            for alias in node.names:
                foreign.add((alias.asname or alias.name).split(".")[0])
        elif isinstance(node, ast.ImportFrom) and not _is_ours(node, modules):
            for alias in node.names:
                yield alias.name
                foreign.add(alias.asname or alias.name)
    yield from foreign
    foreign -= {name.split(".")[0] for name in modules}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _base(node) in foreign:
            yield node.attr


def _is_ours(node: ast.ImportFrom, modules: Mapping[str, object]) -> bool:
    first = (node.module or "").split(".")[0]
    return node.level > 0 or first in {name.split(".")[0] for name in modules}


class _Parameters(ast.NodeTransformer):
    """Parameters become single letters, but those that a program may name."""

    def __init__(self, keywords: set[str], public: bool) -> None:
        self._keywords = keywords
        self._public = public

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self.generic_visit(node)
        arguments = node.args.posonlyargs + node.args.args
        if self._public and (node.name == "__init__" or not node.name.startswith("_")):
            arguments = [one for one in arguments if one.arg == "self"]
        taken = set(_identifiers(node))
        fresh = (letter for letter in ascii_lowercase if letter not in taken)
        names = {}
        for argument in arguments:
            if argument.arg not in self._keywords and len(argument.arg) > 1:
                names[argument.arg] = next(fresh)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                inner.id = names.get(inner.id, inner.id)
            elif isinstance(inner, ast.arg):
                inner.arg = names.get(inner.arg, inner.arg)
        return node
