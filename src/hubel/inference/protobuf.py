"""Messages of protocol buffers, read and written without their package.

A message is a sequence of fields, and two sequences one after another are their union
(https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["bytes_field", "fields", "varints"]

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # kinds of fields


def fields(message: memoryview) -> Iterator[tuple[int, memoryview, int]]:
    """Yield number, content and offset of each field of a message; nothing is copied.

    Raises:
        LookupError, ValueError: this is no message.
    """
    place, end = 0, len(message)
    while place < end:
        start = place
        # Most numbers have one byte; the calls that this saves are half of the time that a graph takes.
        if (tag := message[place]) < 128:
            begin = place + 1
        else:
            tag, begin = _varint(message, place)
        kind = tag & 7
        if kind == _BYTES:
            if (length := message[begin]) < 128:
                begin += 1
            else:
                length, begin = _varint(message, begin)
            place = begin + length
        elif kind == _VARINT:
            place = begin + 1 if message[begin] < 128 else _varint(message, begin)[1]
        elif kind in (_EIGHT, _FOUR):
            place = begin + (8 if kind == _EIGHT else 4)
        else:
            raise ValueError("an unknown kind of field")
        if place > end:
            raise ValueError("cut short")
        yield tag >> 3, message[begin:place], start


def varints(content: memoryview) -> Iterator[int]:
    """Yield the whole numbers in a field: one, or several one after another."""
    place = 0
    while place < len(content):
        value, place = _varint(content, place)
        yield value


def bytes_field(number: int, content: bytes) -> bytes:
    """Return a field of bytes."""
    return _number(number << 3 | _BYTES) + _number(len(content)) + content


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number in groups of 7 bits, the lowest first, and the offset behind it."""
    if (byte := message[place]) < 128:  # most are so small
        return byte, place + 1
    value = shift = 0
    while True:
        byte = message[place]
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _number(value: int) -> bytes:
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
