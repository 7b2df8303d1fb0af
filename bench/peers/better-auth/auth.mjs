// The database of a folder, and better-auth with its API-key plugin over it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import Database from "better-sqlite3";

const folder = process.env.PEER_DATA;
const tuned = process.env.PEER_TUNED === "1";

export const database = new Database(join(folder, "peer.db"));
if (tuned) database.pragma("journal_mode = WAL");

export const auth = betterAuth({
  database,
  baseURL: "http://127.0.0.1",
  secret: readFileSync(join(folder, "secret"), "ascii"),
  plugins: [apiKey(tuned ? { rateLimit: { enabled: false } } : {})],
});
