"""The gateway listens on loopback.

AWS: does not apply; this is about the process on this machine.

LocalStack: listens on every IPv4 address of the machine, whatever host GATEWAY_LISTEN names
(``localstack/runtime/server/twisted.py``: "TODO: interface = host?").

Here: a runtime server of its own (entry point ``localstack.runtime.server``, selected by GATEWAY_SERVER=loopback)
listens on the host that GATEWAY_LISTEN names and refuses one that is not loopback. It speaks HTTP only. A port that
cannot be had ends the process with status 98 instead of leaving it running without a gateway.
"""

import ipaddress
import os
import sys
from typing import Any

from localstack.runtime.server.core import RuntimeServerPlugin

from localstack_host.patching import overrides
from localstack_host.server import end_within_grace

EXIT_CANNOT_LISTEN = 98


def require_loopback(host: str) -> str:
    """Raises ValueError if ``host`` is not a loopback address."""
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"GATEWAY_LISTEN: {host} is not a loopback address; use 127.0.0.1:<port>")
    return host


class LoopbackServerPlugin(RuntimeServerPlugin):
    name = "loopback"

    @overrides
    def load(self, *args: Any, **kwargs: Any) -> Any:
        # Importing it installs twisted's reactor, which must not happen before LocalStack asks for a server.
        from localstack.runtime.server.twisted import TwistedRuntimeServer
        from rolo.serving.twisted import TwistedGateway
        from twisted.internet import endpoints, reactor

        class LoopbackServer(TwistedRuntimeServer):
            @overrides
            def register(self, gateway: Any, listen: list[Any], ssl_creds: Any = None) -> None:
                site = TwistedGateway(gateway)
                for address in listen:
                    endpoint = endpoints.TCP4ServerEndpoint(
                        reactor, address.port, interface=require_loopback(address.host)
                    )
                    endpoint.listen(site).addErrback(end_unable_to_listen)

            @overrides
            def shutdown(self) -> None:
                end_within_grace()
                super().shutdown()

        return LoopbackServer()


def end_unable_to_listen(failure: Any) -> None:
    print(f"localstack-host: {failure.getErrorMessage()}", file=sys.stderr, flush=True)
    os._exit(EXIT_CANNOT_LISTEN)
