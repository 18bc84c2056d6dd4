"""A parameter of an agent: what all types of values have in common."""

from __future__ import annotations

from ocfpy.ocf.addresses import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Generic, Protocol, TypeVar

    T = TypeVar("T")

    class _Base(Generic[T]):
        pass

    class Holder(Protocol):
        """The owner of parameters: an Agent."""

        values: dict[str, Any]

else:
    T = None

    class _Base:
        """Stands in for typing.Generic, whose import takes longer than a whole monitor."""

        def __class_getitem__(cls, item):
            return cls


MAX_LENGTH = 4096


class Parameter(_Base[T]):
    """A parameter, as a class attribute of an Agent; on an instance of it, the typed value.

    An unset parameter reads as its default, and so does a bad one if the agent must go on regardless
    (stop, probe); without a default that is None. default may be written as text or as the value.
    unique_group is True for a parameter that alone distinguishes two resources, or the name of the group of
    those that do together. deprecated is a sentence; replaced_by names the parameter that replaces this one,
    and that reads this one's value while it is unset itself. name is the cluster's name of the parameter, if the
    attribute has another: an agent has attributes of its own, which no parameter may replace (TypeError; RuntimeError
    until Python 3.11).
    """

    content_type = "string"
    max_length = MAX_LENGTH
    choices: Sequence[str] = ()
    unset: Any = None
    word = "text"

    def __init__(
        self,
        shortdesc: str,
        longdesc: str,
        *,
        required: bool = False,
        unique_group: bool | str = False,
        default: Any = None,
        reloadable: bool = False,
        deprecated: str | None = None,
        replaced_by: str = "",
        name: str = "",
    ) -> None:
        self.name = name
        self.shortdesc = shortdesc
        self.longdesc = longdesc
        self.required = required
        self.reloadable = reloadable
        self.deprecated = deprecated
        self.replaced_by = replaced_by
        self._unique_group = unique_group
        self._default = default

    def __set_name__(self, owner: type[Any], name: str) -> None:
        for base in owner.__mro__[1:]:
            if not isinstance(vars(base).get(name, self), Parameter) or name in vars(base).get("__annotations__", ()):
                raise TypeError(
                    f"{owner.__name__}.{name}: an agent has an attribute of that name; write"
                    f' {name}_parameter = {type(self).__name__}(..., name="{name}")'
                )
        self.name = self.name or name

    if TYPE_CHECKING:

        def __get__(self, agent: Holder | None, owner: type[Any]) -> T: ...

    else:

        def __get__(self, agent, owner):
            return self if agent is None else agent.values[self.name]

    def __set__(self, agent: Holder, value: object) -> None:
        raise AttributeError(f"parameter {self.name} cannot be set")

    @property
    def kind(self) -> str:
        """The form of a value, as a manual page shows it."""
        return self.word

    @property
    def is_deprecated(self) -> bool:
        """Whether the parameter is deprecated."""
        return bool(self.deprecated or self.replaced_by)

    @property
    def unique_group(self) -> str:
        """The name of the group of parameters that two resources must not share, or empty."""
        return self.name if self._unique_group is True else self._unique_group or ""

    @property
    def default(self) -> T:
        """The typed value of an unset parameter."""
        if self._default is None:
            return self.unset  # type: ignore[no-any-return]
        return self.parse(self._default) if isinstance(self._default, str) else self._default

    @property
    def default_text(self) -> str | None:
        """The default as a configuration would spell it, or None."""
        return None if self._default is None else self.spell(self._default)

    def spell(self, default: Any) -> str:
        """Return a default as a configuration would spell it."""
        return str(default)

    def read(self, text: str) -> T:
        """Return the value of a text that is not empty. Raises ValueError with a sentence."""
        if len(text) > self.max_length:
            raise ValueError(f"longer than {self.max_length} characters")
        if not text.isprintable():
            raise ValueError(f"{shown(text)} has a line break or another unprintable character")
        return self.parse(text)

    def parse(self, text: str) -> T:
        """Return the value of printable text. Raises ValueError with a sentence."""
        raise NotImplementedError

    def doubt(self, text: str) -> str:
        """Return why a valid text is probably a mistake, or empty."""
        return ""


def declared_parameters(owner: type[Any]) -> list[Parameter[Any]]:
    """Return the parameters that a class declares, in the order of their declaration, base classes first."""
    found: dict[str, Parameter[Any]] = {}
    for base in reversed(owner.__mro__):
        found.update((item.name, item) for item in vars(base).values() if isinstance(item, Parameter))
    return list(found.values())
