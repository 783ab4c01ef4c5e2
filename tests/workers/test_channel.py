"""The channel: who may speak, and what is heard."""

import contextlib
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from glmix_automl.workers import channel, protocol
from glmix_automl.workers.channel import Channel, ChannelError, Listener, connect
from glmix_automl.workers.protocol import Quit, StackTrace, StopTrial

SECRET = b"of this study"
ROOT = Path(__file__).resolve().parents[2]


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
    content = protocol.encode_message(Quit())
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


def test_a_handshake_has_one_deadline_however_its_bytes_trickle(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "HANDSHAKE_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", server.port), 5) as stranger:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < began + 5:
                stranger.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - began < 4, "the server closes"


def test_three_hundred_half_open_connections_keep_nobody_out_and_hold_few_descriptors(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "STRANGERS", 32)
    monkeypatch.setattr(channel, "PATIENCE_SECONDS", 0.02)
    before = psutil.Process().num_fds()
    strangers = [socket.create_connection(("127.0.0.1", server.port), 20) for _ in range(300)]
    link = connect("127.0.0.1", server.port, SECRET)
    link.send(StopTrial(1))
    assert link.receive() == StopTrial(1)
    assert psutil.Process().num_fds() - before <= 300 + 32 + 8
    link.close()
    for stranger in strangers:
        stranger.close()


FEW_DESCRIPTORS = """
import resource, sys, threading
from glmix_automl.workers.channel import Listener

resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
def serve(link):
    for message in link:
        link.send(message)
listener = Listener("127.0.0.1", b"of this study", serve)
print(listener.port, flush=True)
sys.stdin.read()
"""


def test_a_burst_beyond_the_limit_of_descriptors_does_not_end_the_listening() -> None:
    command = [sys.executable, "-c", FEW_DESCRIPTORS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        early = connect("127.0.0.1", port, SECRET)
        strangers = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(100)]
        time.sleep(0.2)
        assert psutil.Process(process.pid).num_fds() == 40, "the burst takes every descriptor there is"
        late = connect("127.0.0.1", port, SECRET)
        for link in (early, late):
            link.send(StopTrial(1))
            assert link.receive() == StopTrial(1)
            link.close()
        for stranger in strangers:
            stranger.close()
        process.communicate("")
