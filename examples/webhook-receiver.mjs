// Receives webhooks, verifies them, and prints what has ended: node webhook-receiver.mjs whsec_… [PORT]
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const [secret, port = "9000"] = process.argv.slice(2);
const webhook = new Webhook(secret);
const seen = new Set();

const server = createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray()).toString();
  let message;
  try {
    message = webhook.verify(body, request.headers);
  } catch {
    response.writeHead(401).end();
    return;
  }
  // A message may come again, with the same id: what it asks for is done once.
  if (!seen.has(request.headers["webhook-id"])) {
    seen.add(request.headers["webhook-id"]);
    console.log(message.type, message.data.id, JSON.stringify(message.data.output));
  }
  response.writeHead(204).end();
});
server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
