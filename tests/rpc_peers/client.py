"""A client of rpc_server: python3 client.py PORT. Ends with an assertion where an answer is not as it should be."""

import sys

import msgpack

from plain import REQUEST, RESPONSE, connect

VALUES = [
    None, True, 0, 127, 128, -32, -33, 2**16, 2**32, 2**64 - 1, -(2**63), 1.5, float("inf"),
    "", "x" * 31, "x" * 32, "Straße", "x" * 70000, b"", b"\x00\xff" * 40000,
    [], [[]] * 15, list(range(70000)), {}, {"a": {"b": [None]}}, {1: "one", b"two": 2, None: 3},
    {str(number): number for number in range(70000)},
    msgpack.ExtType(0, b"\x01"), msgpack.ExtType(127, b"abc"), msgpack.Timestamp(1, 2),
]


def answers(server):
    for value in VALUES:
        error, result = server.call("echo", value)
        assert (error, result) == (None, value), (value, error, result)
    assert server.call("add", 40, 2) == (None, 42)
    assert server.call("add", 2**63, 2**62) == (None, 2**63 + 2**62)
    assert server.call("nop") == (None, None)


def failures(server):
    for code, method, params in [
        (1, "fail", ["no luck"]),
        (-32601, "nowhere", []),
        (-32602, "add", ["1", 2]),
        (-32602, "add", [1, 2, 3]),
    ]:
        error, result = server.call(method, *params)
        assert error[0] == code and isinstance(error[1], str) and len(error) == 2, error
        assert result is None, result


def replies_in_any_order(server):
    """All of them are sent before any is received; the slow one was first and answers last."""
    slow = server.request("sleep", 300)
    numbers = {server.request("add", number, number): 2 * number for number in range(500)}
    for _ in range(len(numbers)):
        kind, number, error, result = server.receive()
        assert (kind, error, result) == (RESPONSE, None, numbers.pop(number))
    assert server.receive() == [RESPONSE, slow, None, None]


def notifications(server):
    for number in range(100):
        server.notify("bump", number)
    server.notify("nowhere")
    server.notify("bump", "much")
    # What comes after a notification is started after it.
    assert server.call("count") == (None, 4950)


def a_request_in_single_bytes(server):
    for byte in msgpack.packb([REQUEST, 0, "echo", ["slowly"]]):
        server.stream.sendall(bytes([byte]))
    assert server.receive() == [RESPONSE, 0, None, "slowly"]


def unknown_types_of_messages(server):
    """They are no reason to end a connection; nor is a method whose name is bytes, of which old libraries knew no other."""
    server.send(99, 1)
    error, _ = server.call("$/nowhere")
    assert error[0] == -32601, error
    assert server.call(b"add", 1, 2) == (None, 3)


def nonsense_ends_the_connection(port):
    for nonsense in [b"\xc1", b"GET / HTTP/1.1\r\n\r\n", msgpack.packb({"a": 1}), b"\xdf" * 5]:
        server = connect(port)
        server.stream.sendall(nonsense)
        # It may say why before it closes.
        while server.receive() is not None:
            pass


def main(port):
    server = connect(port)
    for part in [answers, failures, replies_in_any_order, notifications, a_request_in_single_bytes, unknown_types_of_messages]:
        part(server)
        print(part.__name__)
    nonsense_ends_the_connection(port)
    assert server.call("nop") == (None, None)
    print("done")


main(int(sys.argv[1]))
