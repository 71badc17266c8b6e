"""Settings of a team that keep uv from what was published just now. Pure.

Measured with uv 0.13: a `uv.toml` beside the root replaces all settings in `[tool.uv]`, and those of members do not
count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from packaging.utils import canonicalize_name

from core.errors import Reason

SETTINGS = "uv.toml"
_NO_TIME = re.compile(r"0+ *[a-z]+|P(?:T?0+[A-Z])+", re.IGNORECASE)


def forbidden(settings: Mapping[str, object], where: str, wanted: Sequence[str]) -> list[Reason]:
    """Why uv could not take `wanted`, normalised names, right after they are published; no delay ends that.

    `settings`: the table that counts, of the file `where`.
    """
    found: list[Reason] = []
    of_packages = settings.get("exclude-newer-package")
    table: Mapping[str, object] = of_packages if isinstance(of_packages, Mapping) else {}  # pyright: ignore[reportUnknownVariableType]
    own = {str(canonicalize_name(name)): limit for name, limit in table.items()}
    limits = {name: own.get(name, settings.get("exclude-newer")) for name in wanted}
    if late := sorted(name for name, limit in limits.items() if _holds_back(limit)):
        line = ", ".join(f"{name} = false" for name in late)
        said = ", ".join(sorted({f'"{limits[name]}"' for name in late}))
        found.append(
            Reason(
                f"the policy of {where} keeps {', '.join(late)} out",
                f"exclude-newer says {said}, and what rides is published when it ships",
                f"add there: exclude-newer-package = {{ {line} }}, then release prepare",
            )
        )
    if settings.get("no-index") is True and wanted:
        next_ = "take it out there, then release prepare"
        found.append(Reason(f"the policy of {where} keeps uv from every index", "no-index is true", next_))
    return found


def _holds_back(limit: object) -> bool:
    return limit is not None and limit is not False and not _NO_TIME.fullmatch(str(limit).strip())
