/** A worker of celery-node with the probe tasks that can be written for it. */

import { runWorker } from "./workers.mjs";

import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as sleep } from "node:timers/promises";

import celery from "celery-node";

class ValueError extends Error {
  name = "ValueError";
}

/** The probes. A handler is given the positional arguments, then one object of the keywords. */
const PROBES = {
  "celeriac.add": ([x, y], keywords) => (x ?? keywords.x) + (y ?? keywords.y),
  "celeriac.echo": (args, keywords) => [args, keywords],
  "celeriac.fail": ([message], keywords) => {
    throw new ValueError(message ?? keywords.message);
  },
  "celeriac.sleep": async ([seconds], keywords) => {
    await sleep((seconds ?? keywords.seconds) * 1000);
    return seconds ?? keywords.seconds;
  },
};

runWorker(async (scenario, spec, report) => {
  const { broker_url } = spec;
  const queue = spec.queues[0] ?? scenario.queue;
  const backend = scenario.backend_url ?? broker_url; // it cannot be without one
  const worker = celery.createWorker(broker_url, backend, queue);
  const present = watched(worker);
  for (const [name, probe] of Object.entries(PROBES))
    worker.register(name, reported(name, probe, present, report));
  const consuming = worker.start();
  const isRedis = broker_url.startsWith("redis");
  await (isRedis ? worker.isReady() : consuming); // over Redis it ends with the worker
});

/** Handlers are not told which task they execute: keep its message beside them. */
function watched(worker) {
  const present = new AsyncLocalStorage();
  const makeHandler = worker.createTaskHandler.bind(worker);
  worker.createTaskHandler = () => {
    const handle = makeHandler();
    return (message) => present.run(message, handle, message);
  };
  return present;
}

/** Answer a handler that reports when the probe starts and how it ends. */
function reported(task, probe, present, report) {
  return async (...received) => {
    const kwargs = received.pop();
    const message = present.getStore();
    const { id, retries } = message.headers.id
      ? message.headers
      : message.decode();
    const about = { task_id: id, task, attempt: retries ?? 0 };
    report("started", { ...about, args: received, kwargs });
    try {
      const value = await probe(received, kwargs);
      report("ended", { ...about, state: "SUCCESS", value });
      return value;
    } catch (error) {
      const { name: exc_type, message: exc_message } = error;
      const value = { exc_type, exc_message };
      report("ended", { ...about, state: "FAILURE", value });
      throw error;
    }
  };
}
