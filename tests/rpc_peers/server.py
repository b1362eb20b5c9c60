"""A server that knows plain MessagePack-RPC only; it prints its port, serves one client after the other, and says what it heard.

It refuses a hello with an error that is a text, as the libraries of other languages do.
"""

import socket
import sys

import msgpack

from plain import NOTIFICATION, REQUEST, RESPONSE, Connection


def answer(client, number, method, params):
    if method == "echo":
        client.send(RESPONSE, number, None, params[0])
    elif method == "fail_text":
        client.send(RESPONSE, number, "a text", None)
    elif method == "fail_map":
        client.send(RESPONSE, number, {"code": 7, "message": "a map", "data": [1]}, None)
    elif method == "fail_array":
        client.send(RESPONSE, number, [7, "an array", {"more": True}], None)
    elif method == "fail_number":
        client.send(RESPONSE, number, 7, None)
    elif method == "call_back":
        # While the client waits, it is called itself.
        client.send(REQUEST, 77, "double", params)
        kind, answered, error, result = client.receive()
        assert (kind, answered) == (RESPONSE, 77), (kind, answered)
        client.send(RESPONSE, number, error, result)
    elif method == "twice":
        client.send(RESPONSE, number, None, "first")
        client.send(RESPONSE, number, None, "second")
        client.send(RESPONSE, 123456, None, "for nobody")
    elif method == "hang_up":
        client.stream.close()
        return False
    elif method == "half":
        client.stream.sendall(msgpack.packb([RESPONSE, number, None, "x" * 100])[:50])
        client.stream.close()
        return False
    elif method == "wrong":
        client.stream.sendall(b"\xc1")
    else:
        client.send(RESPONSE, number, "unknown method: " + method, None)
    return True


def serve(client):
    while (message := client.receive()) is not None:
        if message[0] == REQUEST:
            assert len(message) == 4, "plain requests have four elements"
            print("request", message[2], flush=True)
            if not answer(client, *message[1:]):
                return
        else:
            assert message[0] == NOTIFICATION and len(message) == 3, message
            print("notification", *message[1:], flush=True)
    print("the end", flush=True)


listener = socket.create_server(("127.0.0.1", 0))
print("listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
while True:
    stream, _ = listener.accept()
    serve(Connection(stream))
