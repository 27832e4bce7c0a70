"""Equal values get one number."""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

NOTHING: Final = 0

Value = TypeVar("Value", bound=Hashable)


class Numbers(Generic[Value]):
    """Counts from 1, so that 0 can stand for none."""

    def __init__(self) -> None:
        self._values: list[Value] = []
        self._numbers: dict[Value, int] = {}

    def put(self, value: Value) -> int:
        number = self._numbers.get(value)
        if number is None:
            self._values.append(value)
            number = self._numbers[value] = len(self._values)
        return number

    def __getitem__(self, number: int) -> Value:
        return self._values[number - 1]

    def __len__(self) -> int:
        return len(self._values)


Pool = Numbers[Hashable]
