"""A checksum as the last key of a piece of JSON, so that what a disk or a hand has changed is not believed.

The text stays JSON to whoever else reads it. The checksum (CRC-32) covers every byte before the key; text without one,
of before there were checksums, is taken as it is.
"""

import re
import zlib

_SEAL = re.compile(rb',(\s*)"crc": ?"([0-9a-f]{8})"(\s*\}\s*)\Z')


def seal(text: bytes) -> bytes:
    """A JSON object with its checksum."""
    body = text.rstrip()
    inside = body[:-1].rstrip()
    assert body[-1:] == b"}", "an object"
    assert inside[-1:] != b"{", "a key before the checksum"
    return inside + b',"crc":"%08x"}' % zlib.crc32(inside) + text[len(body) :]


def unseal(text: bytes) -> tuple[bytes, bool]:
    """The object without its checksum, and whether it had one.

    Raises:
        ValueError: the content is not what the checksum was taken of.
    """
    found = _SEAL.search(text)
    if found is None:
        return text, False
    inside = text[: found.start()]
    if zlib.crc32(inside) != int(found.group(2), 16):
        raise ValueError("its checksum does not fit its content")
    return inside + b"}", True
