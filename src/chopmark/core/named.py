"""Named tuples as typing.NamedTuple makes them, in a tenth of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NamedTuple  # noqa: TID251 - what it is to type checkers
else:
    from collections import _tuplegetter
    from functools import cache
    from types import FunctionType

    class _Tuple(tuple):
        """What all of them can do (collections.namedtuple)."""

        __slots__ = ()

        @classmethod
        def _make(cls, iterable: Iterable[Any]) -> Any:  # noqa: ANN401 - one of `cls`, whichever that is
            made = tuple.__new__(cls, iterable)
            if len(made) != len(cls._fields):
                raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
            return made

        def _replace(self, /, **values: Any) -> Any:  # noqa: ANN401 - as above
            made = tuple.__new__(type(self), map(values.pop, self._fields, self))
            if values:
                raise ValueError(f"Got unexpected field names: {list(values)!r}")
            return made

        def _asdict(self) -> dict[str, Any]:
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self) -> str:
            return f"{type(self).__name__}({', '.join(map('{}={!r}'.format, self._fields, self))})"

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)

    @cache
    def _constructor(count: int) -> FunctionType:
        names = ", ".join(f"_{number}" for number in range(count))
        return eval(f"lambda _cls, {names}: _new(_cls, ({names},))", {"_new": tuple.__new__})  # noqa: S307 - numbers

    class _Named(type):
        """Makes an ordinary class of tuples out of the body of one that is derived from NamedTuple."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = tuple(body["__annotations__"])
            usual = {field: body[field] for field in fields if field in body}
            body.update(zip(fields, map(_getter, range(len(fields))), strict=True))
            body |= {"__slots__": (), "__match_args__": fields, "_fields": fields, "_field_defaults": usual}
            constructor = _constructor(len(fields))
            code = constructor.__code__.replace(co_varnames=("_cls", *fields))
            body["__new__"] = FunctionType(code, constructor.__globals__, "__new__", tuple(usual.values()))
            return type(name, (_Tuple,), body)

    @cache
    def _getter(number: int) -> Any:  # noqa: ANN401 - a descriptor, the same in whatever tuple
        return _tuplegetter(number, None)

    class NamedTuple(metaclass=_Named):
        """typing.NamedTuple, which compiles every annotation and a constructor for each class.

        That was a tenth of the time that verifying one file takes (docs/adr/0255). What typing forbids at run time
        (fields with an underscore in front, one without a default behind one with) type checkers forbid.
        """


__all__ = ["NamedTuple"]
