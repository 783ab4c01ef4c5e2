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
from collections.abc import Callable, Iterator

from glmix_automl.workers import protocol
from glmix_automl.workers.protocol import Message, ProtocolError

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 20.0
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
            OSError: the connection broke, or the other end was silent for too long.
        """
        self._socket = connection
        self._lock = threading.Lock()
        self._sent = self._received = 0
        self._mine, self._theirs = (b"server", b"client") if server else (b"client", b"server")
        connection.settimeout(HANDSHAKE_SECONDS)
        self._key = self._shake_hands(secret)
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
        content = protocol.encode(message)
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
        return protocol.decode(content)

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
    """Accepts channels; each is served by a thread of its own, which ends with the channel."""

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
        threading.Thread(target=self._accept, name="glmix-listener", daemon=True).start()

    def close(self) -> None:
        """Accepts no more; open channels stay."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # Wakes `accept`
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._welcome, args=(connection,), name="glmix-channel", daemon=True).start()

    def _welcome(self, connection: socket.socket) -> None:
        try:
            _tune(connection)
            channel = Channel(connection, self._secret, server=True)
        except (OSError, EOFError, ChannelError):
            connection.close()
            return
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
