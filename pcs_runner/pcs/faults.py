"""What an exception of the network means: above all, whether the request may have arrived."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import urllib3

from pcs_runner.pcs.endpoints import host_of
from pcs_runner.pcs.errors import safe_text
from pcs_runner.pcs.exchange import Failure, Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_S = 10.0
"""Longest wait for a connection to one address of a server, in seconds."""

NEW = urllib3.exceptions.NewConnectionError
"""No connection came about, so no request arrived."""

TLS_HINT = (
    "Check the machine's clock; behind a proxy that opens TLS, point REQUESTS_CA_BUNDLE to the file with its root certificate."
)


def failure_of(error: Exception, outgoing: Outgoing) -> Failure:
    """What an exception of the network means for the request: above all whether it may have arrived. Holds no address."""
    host = host_of(outgoing.url)
    certificate = next(_inside(error, ssl.SSLCertVerificationError), None)
    if certificate is not None:
        why = safe_text(getattr(certificate, "verify_message", "") or "it is not valid", 200)
        return Failure(reason=f"the certificate of {host} is refused: {why}", arrived=False, again=False, hint=TLS_HINT)
    if next(_inside(error, urllib3.exceptions.NameResolutionError), None):
        return Failure(reason=f"the name of {host} cannot be resolved", arrived=False)
    if next(_inside(error, urllib3.exceptions.ProxyError), None):
        hint = "Check HTTPS_PROXY and NO_PROXY."
        return Failure(reason="the proxy refuses or cannot be reached", arrived=False, hint=hint)
    if next(_inside(error, urllib3.exceptions.ConnectTimeoutError), None) and not next(_inside(error, NEW), None):
        return Failure(reason=f"no connection to {host} within {min(CONNECT_S, outgoing.deadline_s):.0f} s", arrived=False)
    refused = next(_inside(error, NEW), None)
    if refused is not None:
        inner = next(_inside(refused, OSError), None)
        why = f" ({inner.strerror})" if isinstance(inner, OSError) and inner.strerror else ""
        return Failure(reason=f"no connection to {host}{why}", arrived=False)
    if next(_inside(error, TimeoutError, urllib3.exceptions.ReadTimeoutError), None):
        return Failure(reason=f"there was no whole answer within {outgoing.deadline_s:.0f} s", arrived=True)
    tls = next(_inside(error, ssl.SSLError), None)
    if tls is not None and not isinstance(tls, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return Failure(reason=f"{host} does not speak TLS as it should", arrived=True, again=False, hint=TLS_HINT)
    if isinstance(error, urllib3.exceptions.LocationValueError):
        return Failure(reason="the request cannot be written", arrived=False, again=False)
    return Failure(reason="the connection broke before the answer was there", arrived=True)


def _inside(error: BaseException | None, *kinds: type[BaseException], depth: int = 8) -> Iterator[BaseException]:
    """The exception and those that it wraps, of these kinds, outermost first.

    `__context__` is not looked at: it also holds what a caller was handling when it made the call.
    """
    if error is None or depth == 0:
        return
    if isinstance(error, kinds):
        yield error
    for one in (getattr(error, "reason", None), error.__cause__, *error.args):
        if isinstance(one, BaseException):
            yield from _inside(one, *kinds, depth=depth - 1)
