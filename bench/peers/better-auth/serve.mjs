// node serve.mjs PORT: answers 200 or 401 by `auth.api.verifyApiKey`, which has no route of its own.
import { createServer } from "node:http";
import { auth } from "./auth.mjs";

createServer(async (request, response) => {
  const key = request.headers["x-api-key"] ?? "";
  const { valid, key: found } = await auth.api.verifyApiKey({ body: { key } });
  response.writeHead(valid ? 200 : 401, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ owner: found?.referenceId ?? null }));
}).listen(Number(process.argv[2]), "127.0.0.1");
