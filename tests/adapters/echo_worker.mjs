/** A worker of nothing, which does what its name says. */

import { runWorker } from "./workers.mjs";

runWorker(async (scenario, spec, report) => {
  console.log("chatter of a worker");
  if (spec.name === "stillborn") throw new Error("it cannot be");
  report("started", { task_id: scenario.id, args: spec.queues });
  if (spec.name === "mortal") setImmediate(() => process.exit(3));
  if (spec.name === "eternal") setInterval(() => {}, 60_000);
});
