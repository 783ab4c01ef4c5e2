"""The channel: who may speak, and what is heard."""

import queue
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from glmix_automl.workers import channel, protocol
from glmix_automl.workers.channel import Channel, ChannelError, Listener, connect
from glmix_automl.workers.protocol import Quit, StackTrace, StopTrial

SECRET = b"of this study"


class Server:
    """A listener that keeps what it hears and sends it back."""

    def __init__(self) -> None:
        self.heard: queue.Queue[Any] = queue.Queue()
        self.listener = Listener("127.0.0.1", SECRET, self.serve)
        self.port = self.listener.port

    def serve(self, link: Channel) -> None:
        for message in link:
            self.heard.put(message)
            link.send(message)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.listener.close()


def test_messages_arrive_whole_and_in_order(server: Server) -> None:
    link = connect("127.0.0.1", server.port, SECRET)
    sent = [StackTrace("é\n" * n) for n in (0, 1, 100_000)]
    for message in sent:
        link.send(message)
    assert [link.receive() for _ in sent] == sent
    link.close()


def test_who_does_not_know_the_secret_is_not_heard(server: Server) -> None:
    with pytest.raises((ChannelError, EOFError, OSError)):
        connect("127.0.0.1", server.port, b"another").receive()
    assert server.heard.empty()


def test_a_server_that_does_not_know_the_secret_is_not_trusted() -> None:
    listener = Listener("127.0.0.1", b"another", lambda _: None)
    with pytest.raises((ChannelError, EOFError, OSError)):
        connect("127.0.0.1", listener.port, SECRET)
    listener.close()


def test_one_that_repeats_our_own_challenge_and_answer_is_not_let_in(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 5) as stranger:
        stranger.sendall(stranger.recv(32))
        stranger.sendall(stranger.recv(32))
        assert stranger.recv(1) == b"", "the server closes"
    assert server.heard.empty()


def pair() -> tuple[Channel, Channel, socket.socket]:
    """Two ends that have shaken hands, and the raw socket of the first."""
    raw, other = socket.socketpair(socket.AF_UNIX)
    ends: list[Channel] = []
    thread = threading.Thread(target=lambda: ends.append(Channel(other, SECRET, server=True)))
    thread.start()
    first = Channel(raw, SECRET, server=False)
    thread.join()
    return first, ends[0], raw


def test_a_message_put_into_an_open_connection_is_refused() -> None:
    _, server, raw = pair()
    content = protocol.encode(Quit())
    raw.sendall(struct.pack("!I", len(content)) + bytes(32) + content)
    with pytest.raises(ChannelError, match="forged"):
        server.receive()


def test_a_repeated_message_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    first, server, _ = pair()
    first.send(StopTrial(1))
    assert server.receive() == StopTrial(1)
    first._sent = 0  # what a replay looks like
    first.send(StopTrial(1))
    with pytest.raises(ChannelError, match="repeated"):
        server.receive()


def test_a_message_too_large_is_not_read() -> None:
    _, server, raw = pair()
    raw.sendall(struct.pack("!I", channel.MAX_BYTES + 1))
    with pytest.raises(ChannelError, match="bytes"):
        server.receive()


def test_the_end_of_the_other_side_is_noticed() -> None:
    first, server, _ = pair()
    first.send(StopTrial(1))
    first.close()
    assert list(server) == [StopTrial(1)]
