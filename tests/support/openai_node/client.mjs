// Asks a gateway with OpenAI's own client and prints what it gave, as JSON.
//
//   node client.mjs chat|stream|cut|models|embeddings|many|error
//
// Environment: WAGGLE_URL, WAGGLE_API_KEY. Exit code: 0 printed, 2 no such course.

import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.WAGGLE_URL}/v1`,
  apiKey: process.env.WAGGLE_API_KEY,
  maxRetries: 0,
});
const question = { model: "waggle", messages: [{ role: "user", content: "How do bees tell the way?" }] };

/** The chunks of a stream, and what it ended with if that was an error. */
async function read(stream) {
  const chunks = [];
  try {
    for await (const chunk of stream) chunks.push(chunk);
  } catch (error) {
    return { chunks, error: told(error) };
  }
  return { chunks, error: null };
}

function told(error) {
  const { status, code, type, param, message } = error;
  return { class: error.constructor.name, status, code, type, param, message };
}

async function refusal(asking) {
  try {
    await asking;
  } catch (error) {
    return told(error);
  }
  throw new Error("it was not refused");
}

async function all(page) {
  const found = [];
  for await (const each of page) found.push(each);
  return found;
}

const courses = {
  chat: () => client.chat.completions.create({ ...question, waggle: { top_k: 3, sources: true } }),
  stream: async () =>
    read(await client.chat.completions.create({ ...question, stream: true, stream_options: { include_usage: true } })),
  cut: async () => read(await client.chat.completions.create({ ...question, stream: true })),
  models: async () => ({ list: await all(client.models.list()), one: await client.models.retrieve("waggle") }),
  embeddings: async () => ({
    plain: await client.embeddings.create({ model: "waggle", input: "How do bees dance?" }),
    numbers: await client.embeddings.create({ model: "waggle", input: ["a", "b"], encoding_format: "float" }),
    base64: await client.embeddings.create({ model: "waggle", input: ["a", "b"], encoding_format: "base64" }),
    questions: await client.embeddings.create({ model: "waggle", input: ["a"], waggle: { input_type: "query" } }),
  }),
  many: async () => {
    const input = Array.from({ length: 500 }, (_, i) => `bee number ${i}`);
    const { data, usage } = await client.embeddings.create({ model: "waggle", input });
    return { indices: data.map((each) => each.index), first: data[0].embedding, last: data[499].embedding, usage };
  },
  error: async () => ({
    model: await refusal(client.chat.completions.create({ ...question, model: "gpt-4" })),
    encoder: await refusal(client.embeddings.create({ model: "text-embedding-3-small", input: "a" })),
    tokens: await refusal(client.embeddings.create({ model: "waggle", input: [[1, 2], [3]] })),
    dimensions: await refusal(client.embeddings.create({ model: "waggle", input: "a", dimensions: 256 })),
    key: await refusal(client.withOptions({ apiKey: "wk_nonsense" }).models.list()),
  }),
};

const course = courses[process.argv[2]];
if (course === undefined) {
  console.error(`usage: node client.mjs ${Object.keys(courses).join("|")}`);
  process.exitCode = 2;
} else {
  console.log(JSON.stringify(await course()));
}
