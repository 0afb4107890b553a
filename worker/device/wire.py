"""The line between a device process and its hands or scribes: JSON objects with the arrays that belong to them."""

import json
import socket
import struct
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_LENGTH = struct.Struct(">I")
_KINDS = ("uint8", "int64", "float64", "bool")  # of numbers that are sent


class WireClosed(Exception):
    """The other end is gone."""


class Wire:
    """One end, of one thread at a time."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @property
    def descriptor(self) -> int:
        """What can be read from when a message is there."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any], *arrays: Array) -> None:
        """Write one message.  Raises WireClosed."""
        described = [(array.dtype.name, array.shape) for array in arrays]
        head = json.dumps({"message": message, "arrays": described}).encode()
        try:
            self._socket.sendall(_LENGTH.pack(len(head)) + head)
            for array in arrays:
                self._socket.sendall(np.ascontiguousarray(array).data.cast("B"))
        except OSError as error:
            raise WireClosed from error

    def receive(self) -> tuple[dict[str, Any], tuple[Array, ...]]:
        """Wait for the next message and its arrays.  Raises WireClosed."""
        prefix = bytearray(_LENGTH.size)
        self._fill(memoryview(prefix))
        text = bytearray(_LENGTH.unpack(prefix)[0])
        self._fill(memoryview(text))
        head = json.loads(text)
        arrays = []
        for kind, shape in head["arrays"]:
            array = np.empty(shape, _KINDS[_KINDS.index(kind)])
            self._fill(array.data.cast("B"))
            arrays.append(array)
        return head["message"], tuple(arrays)

    def close(self) -> None:
        """Let the other end know that nothing more will come."""
        self._socket.close()

    def _fill(self, rest: memoryview) -> None:
        while rest:
            try:
                count = self._socket.recv_into(rest)
            except OSError as error:
                raise WireClosed from error
            if not count:
                raise WireClosed
            rest = rest[count:]
