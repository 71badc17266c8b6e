"""Tokens for git over HTTPS: given to git for their host only, and to nobody else (spec 13.1).

A helper that git calls prints the token out of a file that only we can read, for as long as one command lasts: so it is
in no argv, in no environment that a hook or repository code sees, and in no trace (github.md 3).
"""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from adapters.credentials import Secrets
from core.words import is_loopback


class GitTokens:
    """`names`: host, or host/path → the variable that holds its token."""

    def __init__(self, names: Mapping[str, str], secrets: Secrets) -> None:
        self.names, self._secrets = names, secrets

    def name_for(self, url: str) -> str | None:
        """The variable whose token is for `url`, where one was named."""
        _, mark, place = url.partition("://")
        place = place.rpartition("@")[2] if "@" in place.partition("/")[0] else place
        fitting = [host for host in self.names if mark and f"{place}/".startswith(f"{host.rstrip('/')}/")]
        return self.names[max(fitting, key=len)] if fitting else None

    @contextmanager
    def configured(self, settings: Mapping[str, str], folder: Path) -> Generator[dict[str, str]]:
        """`settings` as GIT_CONFIG_* variables, with a helper for each token that is set; gone after the block."""
        pairs = list(settings.items())
        # git asks the helpers that fit in this order, and takes the first answer.
        hosts = sorted(self.names, key=len, reverse=True)
        tokens = {host: self.names[host] for host in hosts if self._secrets.has(self.names[host])}
        if not tokens:
            yield as_variables(pairs)
            return
        with tempfile.TemporaryDirectory(dir=folder, prefix="tokens-") as place:
            pairs.append(("credential.helper", ""))  # nobody else's
            for number, (host, name) in enumerate(tokens.items()):
                file = Path(place) / str(number)
                file.touch(0o600)
                file.write_text(f"username=x-access-token\npassword={self._secrets.reveal(name).strip()}\n")
                told = f'!f() {{ [ "$1" != get ] || cat {shlex.quote(str(file))}; }}; f'
                # Over plain HTTP everybody on the way would read it.
                scheme = "http" if is_loopback(re.split("[:/]", host)[0]) else "https"
                pairs.append((f"credential.{scheme}://{host}.helper", told))
            pairs.append(("credential.useHttpPath", "true"))
            yield as_variables(pairs)


def as_variables(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Settings for one run of git, as it reads them from its environment."""
    numbered = list(enumerate(pairs))
    return {
        "GIT_CONFIG_COUNT": str(len(pairs)),
        **{f"GIT_CONFIG_KEY_{number}": name for number, (name, _) in numbered},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in numbered},
    }


NO_TOKENS = GitTokens({}, Secrets({}))
