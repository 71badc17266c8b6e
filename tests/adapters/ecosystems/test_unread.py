"""Files that nobody here can re-pin, and that name what rides."""

from __future__ import annotations

import pytest

from adapters.ecosystems.unread import is_unread, named_in

BY_VERSION = {
    "requirements.txt": "rich\nAcme_Money[fast]==1.0.0 ; python_version > '3'  # why\n",
    "requirements/base.in": "acme.money\n",
    "deploy/requirements-prod.txt": "acme-money>=1\n",
    "constraints.txt": "acme-money<2\n",
    "setup.py": "setup(install_requires=['acme-money>=1'])\n",
    "setup.cfg": "[options]\ninstall_requires =\n    acme-money\n",
    "Pipfile": '[packages]\nacme-money = "*"\n',
    "poetry.lock": '[[package]]\nname = "acme-money"\n',
    "environment.yml": "dependencies:\n  - pip:\n    - acme-money==1.0\n",
    "pyproject.toml": '[project]\nname = "hub"\n[tool.poetry.dependencies]\nacme-money = "^1.0"\n',
}
BY_REFERENCE = {
    "requirements.txt": "acme-money @ git+https://git.invalid/acme-money@release\n",
    "requirements/dev.txt": "-e git+ssh://git@git.invalid/acme/acme-money.git#egg=other\n",
    "setup.py": "setup(install_requires=['acme-money @ git+https://git.invalid/m'])\n",
    "Pipfile": '[packages]\nacme-money = {git = "https://git.invalid/m", ref = "release"}\n',
    "environment.yml": "dependencies:\n  - pip:\n    - git+https://git.invalid/acme-money\n",
    "pyproject.toml": '[tool.poetry.dependencies]\nacme-money = { path = "../money" }\n',
}


@pytest.mark.parametrize(
    ("path", "text", "by_reference"),
    [(*one, False) for one in BY_VERSION.items()] + [(*one, True) for one in BY_REFERENCE.items()],
)
def test_a_package_is_found_in_every_kind_of_file(path: str, text: str, by_reference: bool) -> None:
    assert is_unread(path) or path == "pyproject.toml"
    [found] = [one for one in named_in({path: text.encode()}, "pyproject.toml") if one.name == "acme-money"]
    assert found.by_reference is by_reference
    number = next(i for i, line in enumerate(text.lower().splitlines(), 1) if "money" in line)
    assert found.unread_in == f"{path} line {number}"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("requirements.txt", "# acme-money\nrich # acme-money\n"),
        ("requirements.txt", "acme-money-extra\nnot-acme-money\n"),
        ("pyproject.toml", '[project]\ndependencies = ["acme-money"]\n[tool.ruff]\nx = "acme-money"\n'),
        ("notes.txt", "acme-money\n"),
    ],
)
def test_a_comment_another_name_and_what_is_re_pinned_are_not_told(path: str, text: str) -> None:
    assert "acme-money" not in {one.name for one in named_in({path: text.encode()}, "pyproject.toml")}
