// A relay on Node's `ws`: what one client says goes to all others.
//
// Usage: node relay.mjs PORT

import { WebSocket, WebSocketServer } from "ws";

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  perMessageDeflate: false,
  clientTracking: true,
});

server.on("connection", (author) => {
  author.on("message", (message, isBinary) => {
    for (const client of server.clients) {
      if (client !== author && client.readyState === WebSocket.OPEN) {
        client.send(message, { binary: isBinary });
      }
    }
  });
  // A reset is the end of a client, not of the relay.
  author.on("error", () => author.terminate());
});

server.on("listening", () => console.log("listening"));
