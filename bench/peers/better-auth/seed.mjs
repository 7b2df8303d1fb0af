// node seed.mjs COUNT STEP: a user and a key for each, and every STEP-th key into `keys`.
//
// The first key is made by better-auth itself; the others are its row with their own ids, user and
// hash. Its limit of 10 checks a day is lifted for each key, as createApiKey's rateLimitMax does.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { defaultKeyHasher } from "@better-auth/api-key";
import { generateRandomString } from "better-auth/crypto";
import { getMigrations } from "better-auth/db/migration";
import { auth, database } from "./auth.mjs";

const [count, step] = process.argv.slice(2).map(Number);
const random = (length) => generateRandomString(length, "a-z", "A-Z");

await (await getMigrations(auth.options)).runMigrations();
const { internalAdapter } = await auth.$context;
const owner = await internalAdapter.createUser({ name: "agent-0", email: "agent-0@example.com" });
const first = await auth.api.createApiKey({
  body: { userId: owner.id, name: "agent-0", rateLimitMax: 1_000_000_000 },
});

const user = database.prepare("SELECT * FROM user").get();
const row = database.prepare("SELECT * FROM apikey").get();
const insert = (table, like) => {
  const names = Object.keys(like);
  const values = names.map((name) => `@${name}`);
  return database.prepare(`INSERT INTO ${table} (${names}) VALUES (${values})`);
};
const addUser = insert("user", user);
const addKey = insert("apikey", row);

const keys = [first.key];
database.pragma("cache_size = -1000000"); // indexes grow everywhere at once
database.exec("BEGIN");
for (let place = 1; place < count; place++) {
  const key = random(64);
  const [id, name] = [random(32), `agent-${place}`];
  addUser.run({ ...user, id, name, email: `${name}@example.com` });
  const hash = await defaultKeyHasher(key);
  addKey.run({ ...row, id: random(32), name, start: key.slice(0, 6), referenceId: id, key: hash });
  if (place % step === 0) keys.push(key);
}
database.exec("COMMIT");
writeFileSync(join(process.env.PEER_DATA, "keys"), keys.join("\n"), { mode: 0o600 });
