/** Drives My client: only what the suite asks for, as the client does it, without repairing anything. */

import { serve, unsupported } from "./celeriac.mjs";

let scenario;

serve({
  hello: () => ({ implementation: "My client", version: "0.0" }),

  begin(body) {
    const named = [body.settings ?? {}, body.task_attributes ?? {}];
    if (named.some((each) => Object.keys(each).length))
      return unsupported("options", "My client has no settings yet");
    scenario = body;
  },

  end() {
    scenario = undefined;
  },

  call({ task, args, kwargs, options = {} }) {
    if (Object.keys(options).length)
      return unsupported(
        "options",
        `My client has no ${Object.keys(options)} yet`,
      );
    return unsupported("producer", "here the client has to send a message");
  },
});
