"""A small QMP client, and a guest that does nothing, for tests."""
import json
import socket
import struct
import time


class Client:
    def __init__(self, path, patience=20):
        end = time.monotonic() + patience
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(patience)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.text = b""
        self.events = []

    def hear(self):
        """The next message; None at the end."""
        while b"\n" not in self.text:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:  # it has ended without reading the last newline
                more = b""
            if not more:
                return None
            self.text += more
        line, self.text = self.text.split(b"\n", 1)
        return json.loads(line)

    def say(self, text):
        """What answers the text; events before it are kept."""
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())
        return self.answer()

    def answer(self):
        while True:
            message = self.hear()
            if message is None or "event" not in message:
                return message
            self.events.append(message)

    def ask(self, command, **arguments):
        return self.say(json.dumps({"execute": command, "arguments": arguments}))

    def begin(self):
        greeting = self.hear()
        self.ask("qmp_capabilities")
        return greeting


def write_idle_kernel(path):
    """An ELF file with a PVH note (Xen's ELFNOTE_PHYS32_ENTRY) around CLI, HLT and a jump back."""
    code = b"\xfa\xf4\xeb\xfc"
    load, headers, size = 0x100000, 2, 32
    begin = 52 + headers * size
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", load)
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, load, 52, 0, 0, 52, size, headers, 0, 0, 0)
    load_header = struct.pack("<8I", 1, begin, load, load, len(code), len(code), 5, 4)
    note_header = struct.pack("<8I", 4, begin + len(code), 0, 0, len(note), len(note), 4, 4)
    with open(path, "wb") as file:
        file.write(header + load_header + note_header + code + note)
