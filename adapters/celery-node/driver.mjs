/** Drives celery-node: producer, result consumer, and workers in processes of their own. */

import { raised, serve, Tagged, unsupported } from "./celeriac.mjs";
import { Workers } from "./workers.mjs";

import { createRequire } from "node:module";

import celery from "celery-node";

const { version } = createRequire(import.meta.url)("celery-node/package.json");

/** Settings that it does not have, and whether a value says what it does anyway. */
const ANYWAY = {
  accept_content: (names) => names.every((name) => name === "json"),
  task_serializer: (name) => name === "json",
};

/** Why `get` rejects, as its message says -> category. */
const CATEGORIES = { TIMEOUT: "timeout", REVOKED: "revoked" };

/** How long a client may take to say goodbye, in milliseconds. */
const GOODBYE = 1000;

/** How each form of the calling API is spelled. */
const CALLS = {
  apply_async(task, args, kwargs, options) {
    refuse(options);
    return connected().createTask(task).applyAsync(args, kwargs);
  },
  delay(task, args, kwargs, options) {
    refuse({
      ...options,
      ...(Object.keys(kwargs)[0] && { delay_keywords: 1 }),
    });
    return connected()
      .createTask(task)
      .delay(...args);
  },
  send_task(task, args, kwargs, { task_id, ...options }) {
    refuse(options);
    return connected().sendTask(task, args, kwargs, task_id ?? undefined);
  },
};

const workers = new Workers(new URL("./worker.mjs", import.meta.url));

let scenario;
let client;

serve({
  hello: () => ({ implementation: "celery-node", version }),

  begin(body) {
    refuse(body.settings, ANYWAY);
    if (Object.keys(body.task_attributes).length)
      return unsupported("task_attributes", "a task is a name");
    scenario = body;
  },

  end: () => Promise.all([workers.close(), disconnected()]).then(() => null),

  call({ task, args = [], kwargs = {}, mode, options = {}, signature }) {
    if (signature) return unsupported("signature", "there are no signatures");
    if (isForeign([args, kwargs]))
      return unsupported("typed_json", "JavaScript has no such type");
    try {
      return { task_id: CALLS[mode](task, args, kwargs, options).taskId };
    } catch (error) {
      if (error instanceof Error) return raised("bad-argument", error, "none");
      throw error;
    }
  },

  start_worker(spec) {
    refuse(spec.settings, ANYWAY);
    if (spec.queues.length > 1)
      return unsupported("queues", "a worker consumes one queue");
    return workers.start(scenario, spec);
  },

  stop_worker: ({ name, how = "warm" }) => workers.stop(name, how),

  async get_result({ task_id, timeout, propagate = true, on_message }) {
    refuse({
      on_message: on_message || null,
      no_propagate: !propagate || null,
    });
    try {
      const value = await connected()
        .asyncResult(task_id)
        .get(timeout * 1000);
      return { value, messages: [] };
    } catch (error) {
      return raised(CATEGORIES[error.message] ?? "other", failure(error));
    }
  },

  state: ({ task_id }) => connected().asyncResult(task_id).status(),

  close: () => workers.close(),
});

/** Answer the client of the scenario, which connects when it is first used. */
function connected() {
  const { broker_url, backend_url, queue } = scenario;
  const backend = backend_url ?? broker_url; // it cannot be without one
  client ??= celery.createClient(broker_url, backend, queue);
  return client;
}

async function disconnected() {
  const leaving = client;
  client = undefined;
  if (!leaving) return;
  const late = new Promise((resolve) => setTimeout(resolve, GOODBYE));
  await Promise.race([leaving.disconnect().catch(console.error), late]);
  leaving.broker.redis?.disconnect(); // or it would try for ever
  leaving.backend.redis?.disconnect();
}

/** Refuse the first option or setting that is given, but for what it does anyway. */
function refuse(given, anyway = {}) {
  for (const [name, value] of Object.entries(given))
    if (value !== null && !anyway[name]?.(value))
      throw unsupported(name, `celery-node has no ${name}`);
}

const isForeign = (value) =>
  value instanceof Tagged ||
  (value instanceof Object && Object.values(value).some(isForeign));

/** What the error of `get` tells of the task's: its members are the result's. */
const failure = (error) => ({
  name: error.exc_type ?? error.name,
  message: [error.exc_message ?? error.message].flat().join(", "),
});
