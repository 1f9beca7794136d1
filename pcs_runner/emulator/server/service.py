"""What the handlers share: the twin, who may ask, what it costs, and who is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pcs_runner.emulator.server.catalogue import Contract

if TYPE_CHECKING:
    from pcs_runner.emulator.server.access import Access
    from pcs_runner.emulator.server.webhooks import Webhooks
    from pcs_runner.emulator.twin import Twin


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One twin that is served.

    Attributes:
        twin: Carries out the calls.
        access: Checks tokens and signs links.
        webhooks: Tells others of results.
        contract: Prices and credits.
    """

    twin: Twin
    access: Access
    webhooks: Webhooks
    contract: Contract = field(default_factory=Contract)
