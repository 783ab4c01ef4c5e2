"""Forms Horovod worlds by rendezvous and environment: no `horovodrun`, no signal handlers, from any thread.

The controller opens a `Rendezvous` for the moments in which a world's ranks find each other; each rank calls `form`.
After a rank was lost the others call `leave` and `form` again with a new rendezvous, which takes
hundredths of a second and imports nothing anew.
"""

import os
import socket
import threading
from typing import Any

from glmix_automl.workers import collective

GLOO_TIMEOUT_SECONDS = 60  # how long ranks wait for one another while a world is formed, and for a silent peer


class Rendezvous:
    """An HTTP key-value server at which the ranks of one world exchange their addresses; closed once they have met."""

    def __init__(self, host: str) -> None:
        from horovod.runner.http.http_server import RendezvousHandler, RendezvousHTTPServer

        self._server = RendezvousHTTPServer((host, 0), RendezvousHandler, 0)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops the server."""
        self._server.shutdown()
        self._server.server_close()


def form(rank: int, size: int, address: str = "", port: int = 0, interface: str = "") -> None:
    """Makes this process a rank of a world; afterwards `collective.current()` is that world.

    Leaves the previous world first, if there is one. Every rank of the world must call this.

    Args:
        rank, size: in the world.
        address, port: of the rendezvous; unused where size is 1.
        interface: network interface by which ranks reach one another, or empty for the host name's.

    Raises:
        Exception: Horovod's, when a rank did not come in time or died meanwhile.
    """
    import horovod.tensorflow as hvd

    leave()
    os.environ.update(_environment(rank, size, address, port, interface))
    if size == 1:  # Without an address Gloo needs no rendezvous
        for name in ("HOROVOD_GLOO_RENDEZVOUS_ADDR", "HOROVOD_GLOO_RENDEZVOUS_PORT"):
            os.environ.pop(name, None)
    hvd.init()
    collective.enter(collective.HorovodCollective())


def leave() -> None:
    """Ends this process's part in its world, if it is in one; ranks waiting in a collective get an error."""
    import horovod.tensorflow as hvd

    collective.enter(collective.Alone())
    if hvd.is_initialized():
        hvd.shutdown()


def _environment(rank: int, size: int, address: str, port: int, interface: str) -> dict[str, str]:
    """What Horovod reads at `hvd.init()`. Every rank is its own host to Horovod: a world of k hosts of one rank, so
    that ranks need not know who shares a machine.
    """
    known: dict[str, Any] = {
        "RANK": rank,
        "SIZE": size,
        "LOCAL_RANK": 0,
        "LOCAL_SIZE": 1,
        "CROSS_RANK": rank,
        "CROSS_SIZE": size,
        "HOSTNAME": f"rank-{rank}",
        "CONTROLLER": "gloo",
        "CPU_OPERATIONS": "gloo",
        "GLOO_TIMEOUT_SECONDS": GLOO_TIMEOUT_SECONDS,
        "GLOO_RENDEZVOUS_ADDR": address,
        "GLOO_RENDEZVOUS_PORT": port,
    }
    if interface:
        known["GLOO_IFACE"] = interface
    return {f"HOROVOD_{name}": str(value) for name, value in known.items()}


def interface_of(address: str) -> str:
    """Name of the network interface that has an address, or empty if none has."""
    import psutil

    for name, addresses in psutil.net_if_addrs().items():
        if any(a.family in (socket.AF_INET, socket.AF_INET6) and a.address == address for a in addresses):
            return name
    return ""
