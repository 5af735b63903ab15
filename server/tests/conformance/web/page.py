"""A page in a browser, by the DevTools protocol. A JSON string that comes on standard input is typed as a
message, and an object {"js": ...} is evaluated, of which ["did", RESULT] is printed. Beside that, lines of JSON
as of peer.py: what the chat page shows of others, and ["complaint", TEXT] of the browser."""

import asyncio
import itertools
import json
import os
import sys
import tempfile
import urllib.request

import websockets

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-quic "
    "--disable-background-networking --disable-component-update --disable-sync --remote-debugging-port=0 "
    "--window-size=360,640"
).split()

# Before the page's own script: tells of every line that appears, and of the state.
OBSERVE = """
document.addEventListener("DOMContentLoaded", () => {
  const observe = (id, tell) => new MutationObserver(tell).observe(document.getElementById(id), { childList: true });
  if (!document.getElementById("log")) return;
  observe("log", changes => changes.flatMap(change => [...change.addedNodes]).forEach(line => {
    const name = line.querySelector("b");
    if (name && !line.className) report(JSON.stringify(["message", name.textContent, line.lastChild.textContent]));
  }));
  const state = document.getElementById("state");
  observe("state", () => { if (state.textContent.startsWith("connected")) report('["joined"]'); });
});
"""

TYPE = """
(text => {
  document.getElementById("text").value = text;
  document.getElementById("text").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", cancelable: true }));
})"""


def tell(*line):
    print(json.dumps(line), flush=True)


class Tab:
    def __init__(self, socket):
        self.socket, self.numbers, self.waiting = socket, itertools.count(1), {}
        self.hearing = asyncio.create_task(self.hear())

    async def call(self, method, **parameters):
        number = next(self.numbers)
        answer = self.waiting[number] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        return await answer

    async def evaluate(self, script):
        answer = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        return answer["result"].get("value")

    async def hear(self):
        async for message in self.socket:
            heard = json.loads(message)
            if "id" in heard:
                self.waiting.pop(heard["id"]).set_result(heard.get("result", heard))
                continue
            parameters = heard["params"]
            if heard["method"] == "Runtime.bindingCalled":
                print(parameters["payload"], flush=True)
            elif heard["method"] == "Runtime.exceptionThrown":
                tell("complaint", str(parameters["exceptionDetails"]))
            elif heard["method"] == "Log.entryAdded":
                tell("complaint", parameters["entry"]["text"])
            elif heard["method"] == "Page.javascriptDialogOpening":
                tell("complaint", "a dialog: " + parameters["message"])


async def main(chromium, url):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = await asyncio.create_subprocess_exec(
            chromium, *FLAGS, f"--user-data-dir={profile}", "about:blank",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )
        try:
            await drive(await port_of(browser), url)
        finally:
            browser.kill()
            await browser.wait()


async def port_of(browser):
    while line := await browser.stderr.readline():
        if b"DevTools listening on" in line:
            return line.split(b":")[2].split(b"/")[0].decode()
    raise SystemExit("the browser does not start")


async def drive(port, url):
    tabs = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json"))
    address = next(tab for tab in tabs if tab["type"] == "page")["webSocketDebuggerUrl"]
    async with websockets.connect(address, max_size=None) as socket:
        tab = Tab(socket)
        for domain in ("Runtime", "Page", "Log"):
            await tab.call(domain + ".enable")
        await tab.call("Runtime.addBinding", name="report")
        await tab.call("Page.addScriptToEvaluateOnNewDocument", source=OBSERVE)
        await tab.call("Page.navigate", url=url)
        lines = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(lines)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        commands = asyncio.Queue()
        working = asyncio.create_task(work(tab, commands))
        while line := await lines.readline():
            commands.put_nowait(json.loads(line))
        # Whoever waits for an answer is gone.
        working.cancel()


async def work(tab, commands):
    while True:
        command = await commands.get()
        if isinstance(command, str):
            await tab.evaluate(TYPE + "(" + json.dumps(command) + ")")
        else:
            tell("did", await tab.evaluate(command["js"]))


asyncio.run(main(*sys.argv[1:]))
