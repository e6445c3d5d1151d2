"""A property that is computed once, when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from functools import cached_property as lazy
else:

    class lazy:  # noqa: N801 - used like functools.cached_property, and the same to type checkers
        """functools.cached_property without the lock that it has before Python 3.12, and that costs more than answers.

        Two threads may both compute a value; what is computed must therefore be the same each time.
        """

        def __init__(self, function: Callable[[Any], Any]) -> None:
            self._function = function
            self._name = ""
            self.__doc__ = function.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:  # noqa: ANN401 - whatever the function gives
            if instance is None:
                return self
            value = instance.__dict__[self._name] = self._function(instance)
            return value


__all__ = ["lazy"]
