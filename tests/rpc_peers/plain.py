"""MessagePack-RPC with nothing but Python's msgpack: the messages, and a connection that sends and receives them."""

import socket

import msgpack

REQUEST, RESPONSE, NOTIFICATION = range(3)


class Connection:
    def __init__(self, stream):
        self.stream = stream
        self.unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
        self.last = 0

    def send(self, *message):
        self.stream.sendall(msgpack.packb(message))

    def receive(self):
        """The next message, or None at the end."""
        while True:
            for message in self.unpacker:
                return message
            data = self.stream.recv(65536)
            if not data:
                return None
            self.unpacker.feed(data)

    def request(self, method, *params):
        """Sends a request and returns its number: the answer is for whoever receives it."""
        self.last += 1
        self.send(REQUEST, self.last, method, params)
        return self.last

    def notify(self, method, *params):
        self.send(NOTIFICATION, method, params)

    def call(self, method, *params):
        """The error and the result."""
        number = self.request(method, *params)
        kind, answered, error, result = self.receive()
        assert (kind, answered) == (RESPONSE, number), (kind, answered)
        return error, result


def connect(port):
    return Connection(socket.create_connection(("127.0.0.1", port)))
