"""A relay on uWebSockets (PyPI socketify): what one client says goes to all, itself included.

Usage: relay.py PORT
"""

import sys

from socketify import App, CompressOptions

ROOM = "room"
# A client that is behind is waited for, as the load generator counts what is lost.
BACKPRESSURE_BYTES_MAX = 1 << 30

app = App()
app.ws(
    "/*",
    {
        "compression": CompressOptions.DISABLED,
        "max_payload_length": 1 << 20,
        "max_backpressure": BACKPRESSURE_BYTES_MAX,
        "open": lambda client: client.subscribe(ROOM),
        "message": lambda client, message, opcode: client.publish(ROOM, message, opcode),
    },
)
app.listen(
    {"host": "127.0.0.1", "port": int(sys.argv[1])},
    lambda config: print("listening", flush=True),
)
app.run()
