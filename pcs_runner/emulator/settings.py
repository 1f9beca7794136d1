"""What can be set about a twin."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinSettings:
    """How a twin behaves where clouds differ.

    Attributes:
        idle_timeout_s: Seconds after which an open batch without work becomes TIMED_OUT; None for never.
        hold_device: Whether an open batch keeps later batches waiting while it has no work, as on a QPU. Off, the oldest batch
            that has work goes first. Each device type has its own queue.
        unheld_prefix: Device types that begin so are never held (`EMU_`: emulators run several batches); None for no such types.
        own_classes: Whether a batch may name `package.module:Class` as its engine, which imports it: for the owner of the process
            only, not for whoever reaches a server.
        project_id: Project that every batch belongs to.
        user_id: User that every batch belongs to.
    """

    idle_timeout_s: float | None = None
    hold_device: bool = False
    unheld_prefix: str | None = None
    own_classes: bool = False
    project_id: str = "00000000-0000-4000-8000-000000000001"
    user_id: str = "00000000-0000-4000-8000-000000000002"

    def holds(self, device_type: str) -> bool:
        """Whether a batch on this type of device keeps later ones on it waiting until it is closed and done."""
        return self.hold_device and not (self.unheld_prefix is not None and device_type.startswith(self.unheld_prefix))
