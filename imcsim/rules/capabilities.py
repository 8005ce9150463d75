"""What a rule needs of a network, said before it starts."""

from __future__ import annotations

from typing import Any

from imcsim.errors import CapabilityError


def require(network: Any, name: str, what: str, rule: str, remedy: str = "") -> None:
    """Raise CapabilityError where the network has no `name`."""
    try:
        getattr(network, name)
    except (AttributeError, CapabilityError) as error:
        raise CapabilityError.of("rule", f"{rule} needs {what}, which this network has not", remedy=remedy) from error
