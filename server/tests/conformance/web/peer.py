"""A WebSocket peer by the package `websockets`: says each JSON string that comes on standard input, and
prints a line of JSON for each object of the server: its type, name and text."""

import asyncio
import json
import sys

import websockets


async def main(url, name):
    async with websockets.connect(url) as server:
        await server.send(json.dumps({"name": name}))
        hearing = asyncio.create_task(hear(server))
        lines = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(lines)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        while line := await lines.readline():
            await server.send(json.dumps({"text": json.loads(line)}))
    await hearing


async def hear(server):
    async for message in server:
        told = json.loads(message)
        print(json.dumps([told["type"], told.get("name"), told.get("text")]), flush=True)


asyncio.run(main(*sys.argv[1:]))
