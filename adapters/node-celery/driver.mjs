/** Drives node-celery: a producer of protocol 1, and a result consumer over Redis. */

import { raised, serve, Tagged, unsupported } from "./celeriac.mjs";

import { once } from "node:events";
import { createRequire } from "node:module";

import celery from "node-celery";

const { version } = createRequire(import.meta.url)("node-celery/package.json");

/** Celery's name of an option -> node-celery's, for those that take the same values. */
const OPTIONS = {
  eta: "eta",
  expires: "expires",
  queue: "queue",
  task_id: "id",
};

/** How long an event may take that a caller waits for, in milliseconds. */
const PATIENCE = 5000;

let scenario;
let client;
let results = {}; // the handles of all calls

serve({
  hello: () => ({ implementation: "node-celery", version }),

  begin(body) {
    const [setting] = Object.keys(body.settings);
    if (setting) return unsupported(setting, `there is no setting ${setting}`);
    if (Object.keys(body.task_attributes).length)
      return unsupported("task_attributes", "a task is a name");
    scenario = body;
  },

  end() {
    if (client) leave(client);
    client = undefined;
    results = {};
  },

  async call({ task, args = [], kwargs = {}, mode, options = {}, signature }) {
    if (signature) return unsupported("signature", "there are no signatures");
    if (isForeign([args, kwargs]))
      return unsupported("typed_json", "JavaScript has no such type");
    const given = translated(options);
    try {
      const app = await connected();
      const result =
        mode === "send_task"
          ? app.call(task, args, kwargs, given)
          : app.createTask(task).call(args, kwargs, given);
      results[result.taskid] = result;
      return { task_id: result.taskid };
    } catch (error) {
      if (error instanceof TypeError) return raised("encode", error, "none");
      return raised(error.syscall ? "connection" : "timeout", error);
    }
  },

  async get_result({ task_id, timeout, propagate = true, on_message }) {
    if (on_message)
      return unsupported("on_message", "a result hears of its end alone");
    const result = results[task_id];
    if (!result)
      return unsupported("foreign_results", "events come to handles alone");
    try {
      const record =
        result.get() ?? (await heard("ready", result, timeout * 1000));
      return told(record, propagate);
    } catch (error) {
      return raised("timeout", error, "none");
    }
  },

  async state({ task_id }) {
    const result = celery.createResult(task_id, await connected());
    const record = await new Promise((resolve) => result.get(resolve));
    return record?.status;
  },
});

/** Answer the client of the scenario once it says that it is connected. */
async function connected() {
  if (client?.ready) return client;
  client ??= celery.createClient({
    CELERY_BROKER_URL: scenario.broker_url,
    CELERY_RESULT_BACKEND: scenario.backend_url ?? undefined,
    CELERY_IGNORE_RESULT: scenario.backend_url === null,
    CELERY_DEFAULT_QUEUE: scenario.queue,
  });
  await heard("connect", client, PATIENCE, client, client.backend);
  return client;
}

/** Answer what comes with an event; if nothing does in time, throw the last error of these emitters. */
function heard(event, emitter, milliseconds, ...failing) {
  return new Promise((resolve, reject) => {
    emitter.once(event, resolve);
    let last = new Error(`no event ${event} within ${milliseconds} ms`);
    for (const each of failing) each.on("error", (error) => (last = error));
    setTimeout(() => reject(last), milliseconds);
  });
}

/** Disconnect what has connected, and let nothing connect again. */
function leave({ broker, backend }) {
  for (const connection of [broker, backend].filter(Boolean)) {
    if (connection.implOptions) connection.implOptions.reconnect = false;
    (connection.disconnect ?? connection.quit).call(connection);
  }
}

/** Answer options under node-celery's names; refuse those that it does not have. */
function translated(options) {
  const given = Object.entries(options).filter(([, value]) => value !== null);
  return Object.fromEntries(
    given.map(([name, value]) => {
      if (!(name in OPTIONS))
        throw unsupported(name, `there is no option ${name}`);
      if (name === "expires" && !(value instanceof Date))
        throw unsupported("relative_expires", "expires is a moment");
      return [OPTIONS[name], value];
    }),
  );
}

/** Answer a result record: a failure is told by its status alone. */
function told({ status, result }, propagate) {
  if (!["FAILURE", "REVOKED"].includes(status))
    return { value: result, messages: [] };
  const { exc_type: name, exc_message } = result;
  const message = [exc_message].flat().join(", ");
  if (!propagate)
    return { value: { exc_type: name, exc_message: message }, messages: [] };
  return raised(status === "REVOKED" ? "revoked" : "other", { name, message });
}

const isForeign = (value) =>
  value instanceof Tagged ||
  (value instanceof Object && Object.values(value).some(isForeign));
