"""Package registries by the name that `ecosystem` has in the configuration; a new one is one file and one line."""

from adapters.ecosystems.pypi import PyPI
from adapters.ecosystems.rubygems import RubyGems

ECOSYSTEMS = {
    "pypi": PyPI,
    "rubygems": RubyGems,
}
