// A WebSocket peer by the package `ws`, which does what peer.py does.
const WebSocket = require("ws");
const [url, name] = process.argv.slice(2);
const server = new WebSocket(url);
server.on("open", () => {
  server.send(JSON.stringify({ name }));
  const lines = require("readline").createInterface({ input: process.stdin });
  lines.on("line", line => server.send(JSON.stringify({ text: JSON.parse(line) })));
  lines.on("close", () => server.close());
});
server.on("message", message => {
  const told = JSON.parse(message);
  console.log(JSON.stringify([told.type, told.name, told.text]));
});
server.on("error", error => { throw error; });
