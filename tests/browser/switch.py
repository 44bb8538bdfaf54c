"""A loopback switch between browser and node that can be told to spoil answers.

It stands for a wrong implementation of the node's CORS: the real one has no switch for being wrong.
One connection carries one request; heads are changed as lists of field lines, bodies pass unread.
"""

import socket
import socketserver
import threading


class Answer:
    """A response head on its way to the browser, with the request it belongs to."""

    def __init__(self, request, status, fields):
        self.method, self.target = request[0].split(" ")[:2]
        self.asked = _by_name(request[1:])
        self.status = status
        self.fields = fields

    @property
    def preflight(self):
        """Whether it answers a preflight."""
        return self.method == "OPTIONS" and "access-control-request-method" in self.asked

    def get(self, name):
        """The first line's value, or None."""
        return next((value for known, value in self.fields if known.lower() == name), None)

    def remove(self, *names):
        """Removes every line of these names, given in lower case."""
        self.fields = [one for one in self.fields if one[0].lower() not in names]

    def set(self, name, value):
        """One line in place of whatever there was."""
        self.remove(name.lower())
        self.fields.append((name, value))

    def change(self, name, edit):
        """Edits the value of a line if there is one."""
        self.fields = [
            (known, edit(value) if known.lower() == name else value) for known, value in self.fields
        ]

    def remove_cors(self):
        """As if CORS had not been thought of here."""
        self.fields = [
            one for one in self.fields if not one[0].lower().startswith("access-control-")
        ]


def _by_name(lines):
    return {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }


class Switch(socketserver.ThreadingTCPServer):
    """Listens at a port the kernel chooses; `spoil` is called with each answer."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port = self.server_address[1]
        self.node_port = None
        self.spoil = None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """Either side may leave at any time."""


class _Connection(socketserver.BaseRequestHandler):
    def handle(self):
        request, rest = _read_head(self.request)
        if request is None:
            return
        with socket.create_connection(("127.0.0.1", self.server.node_port)) as node:
            lines = [line for line in request[1:] if not line.lower().startswith("connection:")]
            node.sendall(
                "\r\n".join([request[0], *lines, "Connection: close", "", ""]).encode("latin-1")
                + rest
            )
            missing = int(_by_name(lines).get("content-length", 0)) - len(rest)
            while missing > 0:
                data = self.request.recv(min(missing, 1 << 16))
                if not data:
                    return
                node.sendall(data)
                missing -= len(data)
            head, rest = _read_head(node)
            if head is None:
                return
            fields = [
                (name, value.strip())
                for name, _, value in (line.partition(":") for line in head[1:])
            ]
            answer = Answer(request, int(head[0].split(" ")[1]), fields)
            if self.server.spoil is not None:
                self.server.spoil(answer)
            lines = [f"HTTP/1.1 {answer.status} spoilt", *map(": ".join, answer.fields), "", ""]
            self.request.sendall("\r\n".join(lines).encode("latin-1") + rest)
            while data := node.recv(1 << 16):
                self.request.sendall(data)


def _read_head(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(1 << 16)
        if not more:
            return None, b""
        received += more
    head, _, rest = received.partition(b"\r\n\r\n")
    return head.decode("latin-1").split("\r\n"), rest
