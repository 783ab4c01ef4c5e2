"""Authenticated messages between controller and workers over TCP; what they are is in `protocol`.

Both ends prove that they know the study's secret by a keyed hash of the other's random challenge (RFC 2104) before
anything else is read. From then on every message carries a keyed hash of its number and content under a key of that
connection, so nobody can put words into an open connection. Messages are not encrypted.
"""

import contextlib
import hashlib
import hmac
import logging
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

from glmix_automl.workers import protocol
from glmix_automl.workers.protocol import Message, ProtocolError

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 20.0  # for the whole of it
STRANGERS = 256  # connections that have not proven that they know the secret; more wait at the door
PATIENCE_SECONDS = 2.0  # after which the oldest of so many strangers makes room
RETRY_SECONDS = 0.05  # between attempts to accept, when there is no room or no descriptor
SEND_SECONDS = 30  # a peer that reads nothing for so long is lost
MAX_BYTES = 256 << 20
_NONCE = 32
_HEAD = struct.Struct("!I")


class ChannelError(Exception):
    """The other end is not who it should be, or sent what is not a message."""


class Channel:
    """One authenticated connection. `send` may be called from several threads, `receive` from one."""

    def __init__(self, connection: socket.socket, secret: bytes, *, server: bool) -> None:
        """Shakes hands; see `connect` and `Listener`.

        Raises:
            ChannelError: the other end does not know the secret.
            OSError: the connection broke, or the handshake took too long.
        """
        self._socket = connection
        self._lock = threading.Lock()
        self._sent = self._received = 0
        self._mine, self._theirs = (b"server", b"client") if server else (b"client", b"server")
        self._deadline: float | None = time.monotonic() + HANDSHAKE_SECONDS
        connection.settimeout(HANDSHAKE_SECONDS)
        self._key = self._shake_hands(secret)
        self._deadline = None
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))

    def _shake_hands(self, secret: bytes) -> bytes:
        """Exchanges challenges and answers; returns the connection's key."""
        own = secrets.token_bytes(_NONCE)
        self._socket.sendall(own)
        other = self._exactly(_NONCE)
        nonces = own + other if self._mine == b"server" else other + own
        self._socket.sendall(_hash(secret, self._mine + nonces))
        if not hmac.compare_digest(self._exactly(32), _hash(secret, self._theirs + nonces)):
            raise ChannelError("the other end does not know the study's secret")
        return _hash(secret, b"session" + nonces)

    def send(self, message: Message) -> None:
        """Sends a message.

        Raises:
            TypeError: it holds what cannot be sent; nothing was.
            OSError: the connection is broken.
        """
        content = protocol.encode_message(message)
        with self._lock:
            tag = _hash(self._key, self._mine + _HEAD.pack(self._sent & 0xFFFFFFFF) + content)
            self._sent += 1
            self._socket.sendall(_HEAD.pack(len(content)) + tag + content)

    def receive(self) -> Message:
        """Waits for a message.

        Raises:
            EOFError: the other end has closed the connection, or is gone.
            ChannelError: a message that the other end cannot have sent.
            ProtocolError: it sent what is no message of this version.
        """
        try:
            (size,) = _HEAD.unpack(self._exactly(_HEAD.size))
            if size > MAX_BYTES:
                raise ChannelError(f"a message of {size} bytes; at most {MAX_BYTES} are read")
            tag, content = self._exactly(32), self._exactly(size)
        except OSError as error:
            raise EOFError(str(error)) from error
        number = _HEAD.pack(self._received & 0xFFFFFFFF)
        if not hmac.compare_digest(tag, _hash(self._key, self._theirs + number + content)):
            raise ChannelError("a message that was changed, repeated or forged on its way")
        self._received += 1
        return protocol.decode_message(content)

    def __iter__(self) -> Iterator[Message]:
        """Messages until the other end closes."""
        while True:
            try:
                yield self.receive()
            except EOFError:
                return

    @property
    def address(self) -> str:
        """The network address of this end."""
        return str(self._socket.getsockname()[0])

    def close(self) -> None:
        """Closes; a `receive` that waits ends with EOFError."""
        with contextlib.suppress(OSError):  # The other end was first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            if self._deadline is not None:  # A byte now and then does not buy more time
                self._socket.settimeout(max(self._deadline - time.monotonic(), 1e-3))
            part = self._socket.recv(min(size - len(parts), 1 << 20))
            if not part:
                raise EOFError("closed by the other end")
            parts += part
        return bytes(parts)


def connect(host: str, port: int, secret: bytes) -> Channel:
    """Opens a channel to a `Listener`.

    Raises:
        OSError: nobody listens there.
        ChannelError, EOFError: the secret is another one.
    """
    connection = socket.create_connection((host, port), timeout=HANDSHAKE_SECONDS)
    _tune(connection)
    try:
        return Channel(connection, secret, server=False)
    except BaseException:
        connection.close()
        raise


class Listener:
    """Accepts channels; each is served by a thread of its own, which ends with the channel.

    Connections from whoever does not know the secret can cost no more than a bounded number of descriptors and threads
    for a bounded time, and never end the listening.
    """

    def __init__(self, host: str, secret: bytes, serve: Callable[[Channel], None]) -> None:
        """Listens at once, on a free port.

        Args:
            host: address to listen on; empty for all.
            secret: of the study.
            serve: called with every channel whose other end knows the secret; the channel is closed when it returns.
        """
        self._socket = socket.create_server((host, 0), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self._secret = secret
        self._serve = serve
        self._closed = False
        self._lock = threading.Lock()
        self._strangers: dict[socket.socket, float] = {}  # since when, the oldest first
        threading.Thread(target=self._accept, name="glmix-listener", daemon=True).start()

    def close(self) -> None:
        """Accepts no more; open channels stay."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # Wakes `accept`
        self._socket.close()

    def _accept(self) -> None:
        while not self._closed:
            if len(self._strangers) >= STRANGERS and not self._turn_out():
                time.sleep(RETRY_SECONDS)
                continue
            try:
                connection, _ = self._socket.accept()
                self._greet(connection)
            except (OSError, RuntimeError) as error:  # No descriptor or no thread is free, or the other end is gone
                if not self._closed:
                    log.debug("connection not accepted reason=%s", error)
                    self._turn_out()
                    time.sleep(RETRY_SECONDS)

    def _greet(self, connection: socket.socket) -> None:
        with self._lock:
            self._strangers[connection] = time.monotonic()
        try:
            threading.Thread(target=self._welcome, args=(connection,), name="glmix-channel", daemon=True).start()
        except RuntimeError:
            self._forget(connection)
            connection.close()
            raise

    def _turn_out(self) -> bool:
        """Ends the handshake of the stranger that has been here longest, unless all of them have just come."""
        with self._lock:
            oldest = next(iter(self._strangers.items()), None)
            if oldest is None or time.monotonic() - oldest[1] < PATIENCE_SECONDS:
                return False
            del self._strangers[oldest[0]]
        with contextlib.suppress(OSError):
            oldest[0].shutdown(socket.SHUT_RDWR)  # Its thread closes it
        return True

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._strangers.pop(connection, None)

    def _welcome(self, connection: socket.socket) -> None:
        try:
            _tune(connection)
            channel = Channel(connection, self._secret, server=True)
        except (OSError, EOFError, ChannelError):
            connection.close()
            return
        finally:
            self._forget(connection)
        try:
            self._serve(channel)
        except (ChannelError, ProtocolError, EOFError) as error:  # Whoever speaks so is treated as gone
            log.warning("channel closed reason=%s", error)
        finally:
            channel.close()


def _tune(connection: socket.socket) -> None:
    """Messages leave at once; a machine that vanished without a word is noticed within a minute."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)


def _hash(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()
