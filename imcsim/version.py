"""The package's version, and the version of its numbers."""

__version__ = "0.1.0"

# Part of every point's id: raised with each entry under "numerical results changed" in CHANGELOG.md, so that a
# corrected model never reuses results of the old one.
MODEL_VERSION = 7
