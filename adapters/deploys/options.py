"""What the options of every strategy have in common: unknown keys are refused, words are words and never shell text."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from core.commands import explained, split_words
from core.errors import Refused


class StrictOptions(BaseModel):
    """Base of each strategy's `Options`; the config loader validates `prod_deploy.options` with it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @property
    def place(self) -> str:
        """The address that gets the code; blank where only a script knows."""
        return ""


def _split(value: object) -> object:
    """Text is split like a shell would (L02); lists come from YAML and JSON, where tuples do not exist."""
    match value:
        case str():
            return _words(value)
        case list():
            return tuple(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case _:
            return value


def _words(text: str) -> tuple[str, ...]:
    try:
        return split_words(text)
    except Refused as refusal:
        raise ValueError(explained(refusal)) from None


Words = Annotated[tuple[str, ...], BeforeValidator(_split), Field(min_length=1)]
"""An argv, written as text or as a list."""

EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable."""

EnvNames = Annotated[tuple[EnvName, ...], BeforeValidator(_split)]
"""Names of credentials, written as text or as a list."""
