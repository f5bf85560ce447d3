"""What is set up when a context is entered, and taken down when it is left or fails to begin."""

from abc import ABC, abstractmethod
from contextlib import ExitStack
from types import TracebackType
from typing import TypeVar

_Me = TypeVar("_Me", bound="Resources")


class Resources(ABC):
    """A context manager that owns things. `_resources`: where to put what else is to be closed."""

    def __init__(self) -> None:
        self._resources = ExitStack()

    def __enter__(self: _Me) -> _Me:
        with ExitStack() as stack:
            self._resources = stack
            self._set_up(stack)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._resources.close()

    @abstractmethod
    def _set_up(self, stack: ExitStack) -> None:
        """Make what there is to be, each with its end on the stack."""
