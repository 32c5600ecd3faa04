/** A driver of nothing: it answers what it was asked, or does what the name of a task tells it to do wrong. */

import { emit, raised, serve, Tuple, unsupported } from "./celeriac.mjs";
import { Workers } from "./workers.mjs";

console.log("chatter of a module");

const MISDEEDS = {
  throws: () => {
    throw new RangeError("oops");
  },
  stray: () => {
    setImmediate(() => Promise.reject(new Error("astray")));
    return new Promise((resolve) => setTimeout(resolve, 10, { value: "on" }));
  },
  raised: () =>
    raised("encode", new TypeError("no", { cause: new SyntaxError() }), "none"),
  refused: () => {
    throw unsupported("countdown", "there is no countdown");
  },
  long: () => ({ value: "x".repeat(16 * 1024 * 1024) }),
  opaque: () => ({ value: [new URL("http://localhost"), undefined] }),
};

const workers = new Workers(new URL("./echo_worker.mjs", import.meta.url));

let scenario;

serve({
  hello: () => ({ implementation: "echo", version: "1.0" }),
  begin(body) {
    scenario = body;
    for (let attempt = 0; attempt < 50; attempt += 1) {
      console.log("chatter of the driver");
      process.stdout.write("more of it");
      emit("started", {
        worker: "w",
        task_id: "t",
        args: Tuple.of(attempt, "one"),
      });
    }
  },
  end: () => workers.close().then(() => null),
  call: ({ task, args, options }) =>
    Object.hasOwn(MISDEEDS, task)
      ? MISDEEDS[task]()
      : { value: [args, options] },
  start_worker: (spec) => workers.start(scenario, spec),
  stop_worker: ({ name, how }) => workers.stop(name, how),
  state: ({ task_id }) => task_id,
});
