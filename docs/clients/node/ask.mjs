// Asks a question over NATS and prints the answer as it comes, then its citations.
//
//   node ask.mjs "How often is the varroa count taken?"
//
// Environment: WAGGLE_NATS_URL (default nats://127.0.0.1:4222), WAGGLE_TENANT (default "default"), and where the broker has users
// WAGGLE_NATS_NKEY_SEED (the file of asker-<tenant>) and WAGGLE_NATS_INBOX_PREFIX (_INBOX_asker-<tenant>).
// Exit code: 0 answered, 1 failed or cancelled, 2 no question given, 3 no broker or no Waggle there, or it does not let us in.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect, headers, JSONCodec, nkeyAuthenticator } from "nats";

const BUDGET_MS = 30_000;
const GRACE_MS = 5_000;
const codec = JSONCodec();

/** Yields the events of one query until its terminal. Text of an older attempt is void once a newer one begins. */
async function* events(connection, tenant, queryId) {
  const subject = `rag.answers.${tenant}.${queryId}`;
  const subscription = connection.subscribe(subject + ".>");
  const progress = connection.subscribe(subject);
  const queue = [];
  let wake = () => {};
  let refused; // the broker does not permit a subscription
  const feed = async (source) => {
    try {
      for await (const message of source) {
        queue.push(codec.decode(message.data));
        wake();
      }
    } catch (error) {
      refused = error;
      wake();
    }
  };
  const feeds = [feed(subscription), feed(progress)];
  const deadline = Date.now() + BUDGET_MS + GRACE_MS;
  try {
    await connection.flush();
    if (refused) throw refused;
    yield { kind: "subscribed" };
    for (;;) {
      if (refused) throw refused;
      while (queue.length > 0) {
        const event = queue.shift();
        yield event;
        if (["completed", "failed", "cancelled"].includes(event.kind)) return;
      }
      const left = deadline - Date.now();
      if (left <= 0) throw new Error("no terminal event arrived; is a keeper running? see `waggle status`");
      let timer;
      await new Promise((resolve) => {
        wake = resolve;
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  } finally {
    subscription.unsubscribe();
    progress.unsubscribe();
    await Promise.all(feeds);
  }
}

async function publish(connection, tenant, queryId, query) {
  const head = headers();
  head.set("Nats-Msg-Id", `${tenant}.${queryId}`);
  head.set("Waggle-Query-Id", queryId);
  head.set("Waggle-Budget-Ms", String(BUDGET_MS));
  const request = { query_id: queryId, tenant, query, principal: "node-client" };
  await connection.jetstream().publish(`rag.query.requests.${tenant}`, codec.encode(request), { headers: head });
}

/** What the broker is shown to be let in; nothing where it lets in anybody. */
function identity() {
  const seed = process.env.WAGGLE_NATS_NKEY_SEED;
  const shown = seed ? { authenticator: nkeyAuthenticator(readFileSync(seed)) } : {};
  const inboxPrefix = process.env.WAGGLE_NATS_INBOX_PREFIX;
  return inboxPrefix ? { ...shown, inboxPrefix } : shown;
}

/** Why the broker does not let us in or not do what we do, and what to do; null for any other error. */
function refusal(error, tenant) {
  const user = `asker-${tenant}`;
  if (error.code === "AUTHORIZATION_VIOLATION") {
    return (
      "the broker of WAGGLE_NATS_URL does not let us in (authorization violation): set WAGGLE_NATS_NKEY_SEED to the file of " +
      `${user}, and WAGGLE_NATS_INBOX_PREFIX to _INBOX_${user}`
    );
  }
  if (error.code === "PERMISSIONS_VIOLATION") {
    return (
      `the broker does not permit this (${error.message}): to ask for the tenant ${tenant} (WAGGLE_TENANT), ` +
      `WAGGLE_NATS_NKEY_SEED has to be the file of ${user}, and WAGGLE_NATS_INBOX_PREFIX _INBOX_${user}`
    );
  }
  return null;
}

function show(completed, shown) {
  console.log(completed.answer === shown ? "" : `\n\n${completed.answer}`);
  for (const citation of completed.citations) {
    const place = citation.page ? `page ${citation.page}` : (citation.heading ?? "");
    console.log(`  [${citation.n}] ${citation.name} ${place}: “${citation.quote}”`);
  }
}

async function main() {
  const query = process.argv[2];
  if (!query) {
    console.error('usage: node ask.mjs "your question"');
    return 2;
  }
  const tenant = process.env.WAGGLE_TENANT ?? "default";
  const servers = (process.env.WAGGLE_NATS_URL ?? "nats://127.0.0.1:4222").split(",");
  let connection;
  try {
    connection = await connect({ servers, name: "waggle-node-client", ...identity() });
  } catch (error) {
    console.error(refusal(error, tenant) ?? `cannot reach the broker of WAGGLE_NATS_URL: ${error.message}`);
    return 3;
  }
  const queryId = randomUUID();
  let attempt = 0;
  let shown = "";
  try {
    for await (const event of events(connection, tenant, queryId)) {
      if (event.kind === "subscribed") await publish(connection, tenant, queryId, query);
      if (event.kind === "retrieved") console.log(`${event.passages.length} passages found`);
      if (event.kind === "delta") {
        const current = Number(event.id.split(".")[0]);
        if (current > attempt && attempt > 0) {
          process.stdout.write("\n(starting again)\n");
          shown = "";
        }
        attempt = Math.max(attempt, current);
        if (current === attempt) {
          process.stdout.write(event.text);
          shown += event.text;
        }
      }
      if (event.kind === "completed") {
        show(event, shown);
        return 0;
      }
      if (event.kind === "failed" || event.kind === "cancelled") {
        console.error(`${event.kind}: ${event.message ?? ""}`);
        return 1;
      }
    }
    return 1;
  } catch (error) {
    const refused = refusal(error, tenant);
    if (refused) {
      console.error(refused);
      return 3;
    }
    const without = error.code === "503"; // no responders
    console.error(without ? "the broker of WAGGLE_NATS_URL takes no questions: does Waggle run on it?" : error.message);
    return without ? 3 : 1;
  } finally {
    await connection.close();
  }
}

process.exitCode = await main();
