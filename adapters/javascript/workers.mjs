/**
 * Workers for drivers that are served by `celeriac.mjs`.
 *
 * A worker may die of a message. It lives in a process of its own, so that its
 * death is something to be judged and not the end of the driver.
 */

import { fork } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";

import {
  emit,
  eventLine,
  fromText,
  ok,
  passOn,
  raised,
  toText,
} from "./celeriac.mjs";

/** How each way to stop a worker is told to its process. */
const SIGNALS = { warm: "SIGTERM", cold: "SIGQUIT", kill: "SIGKILL" };

/** How long a worker may take to start or to stop, in milliseconds. */
const PATIENCE = 20_000;

/** The workers of a scenario, each of them a process that runs `program`. */
export class Workers {
  #program;
  #running = new Map();

  /** @param {URL | string} program a module that calls `runWorker` */
  constructor(program) {
    this.#program = program;
  }

  /** Start a worker; answer once it consumes, or has ended before. */
  async start(scenario, spec) {
    const worker = new WorkerProcess(this.#program, spec.name);
    this.#running.set(spec.name, worker);
    return worker.start(scenario, spec);
  }

  /** Stop a worker and answer its exit code, negative for a signal. */
  stop = (name, how) => this.#running.get(name).stop(how);

  /** Kill all of them. */
  async close() {
    await Promise.all(
      [...this.#running.values()].map((worker) => worker.stop("kill")),
    );
    this.#running.clear();
  }
}

class WorkerProcess {
  #process;
  #ended;
  #ready;
  #log = "";

  constructor(program, name) {
    const stdio = ["ignore", "pipe", "pipe", "ipc"];
    this.#process = fork(program, { stdio });
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream.on("data", (chunk) => this.#keep(chunk));
    this.#ready = new Promise((resolve) =>
      this.#process.on("message", ({ kind, line }) => {
        passOn(line);
        if (kind === "ready") resolve(true);
      }),
    );
    this.#ended = this.#reportEnd(name);
  }

  async start(scenario, spec) {
    this.#process.send(toText({ scenario, spec }));
    const first = await soon(Promise.race([this.#ready, this.#ended]));
    if (first === true) return ok();
    const happened =
      first === undefined
        ? `was not ready within ${PATIENCE} ms`
        : `ended with exit code ${first.exit_code} before it consumed`;
    await this.stop("kill");
    return raised("other", new Error(`the worker ${happened}\n${this.#log}`));
  }

  async stop(how) {
    this.#process.kill(SIGNALS[how]);
    const end = await soon(this.#ended);
    if (end) return ok(end);
    this.#process.kill("SIGKILL");
    await this.#ended;
    const late = `still running ${PATIENCE} ms after a ${how} stop`;
    return raised("timeout", new Error(`${late}\n${this.#log}`), "done");
  }

  #keep(chunk) {
    process.stderr.write(chunk);
    this.#log = (this.#log + chunk).slice(-2000);
  }

  async #reportEnd(worker) {
    const [[code, signal]] = await Promise.all([
      once(this.#process, "close"),
      once(this.#process, "disconnect"), // its last events have been passed on
    ]);
    const exit_code = code ?? -constants.signals[signal];
    emit("stopped", { worker, exit_code });
    return { exit_code };
  }
}

/** Answer what a promise resolves to, `undefined` when that takes too long. */
async function soon(promise) {
  let timer;
  const late = new Promise(
    (resolve) => (timer = setTimeout(resolve, PATIENCE)),
  );
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * Be the worker that a driver has started with `Workers`; ends with the driver.
 *
 * @param {(scenario: object, spec: object, report: Function) => Promise} run
 *   starts a worker and resolves once it consumes; `report(kind, data)` emits an
 *   event of this worker
 */
export async function runWorker(run) {
  process.once("disconnect", () => process.exit(1));
  const [orders] = await once(process, "message");
  process.channel.unref(); // a worker whose work is over ends by itself
  const { scenario, spec } = fromText(orders);
  const report = (kind, data) =>
    process.send({
      kind,
      line: eventLine(kind, { worker: spec.name, ...data }),
    });
  await run(scenario, spec, report);
  report("ready", {});
}
