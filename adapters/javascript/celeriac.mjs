/**
 * Celeriac's adapter protocol for Node: one file without dependencies, to be
 * copied beside a driver.
 *
 * A driver hands `serve` one function for each thing that it is asked for:
 *
 *     import { serve, unsupported } from "./celeriac.mjs";
 *     import mine from "my-client";
 *
 *     let scenario;
 *
 *     serve({
 *       hello: () => ({ implementation: "my-client", version: "1.0" }),
 *       begin: (body) => void (scenario = body),
 *       async call({ task, args, kwargs, options }) {
 *         const [option] = Object.keys(options);
 *         if (option) return unsupported(option, "a call has no options");
 *         const { broker_url: url, queue } = scenario;
 *         return { task_id: await mine.send(url, queue, task, args, kwargs) };
 *       },
 *     });
 *
 * What a function returns is the value of the answer `ok`. It may also return,
 * or throw, `raised(...)`: the implementation signalled an error to its caller;
 * or `unsupported(...)`: the implementation has no such thing. Whatever else is
 * thrown is the driver's own fault, and is answered `broken` with its stack.
 *
 * Requests are served one at a time, in order. Standard output belongs to the
 * protocol from the moment this file is imported, so import it first: what
 * anybody else prints goes to standard error.
 */

import { inspect } from "node:util";

/** The version of the protocol that is spoken here. */
export const PROTOCOL = 1;

/** The longest line that either side may send, its newline included, in bytes. */
const LINE_LIMIT = 16 * 1024 * 1024;

/** Every operation, and the feature that a driver without its function lacks. */
const OPERATIONS = {
  hello: "hello",
  begin: "begin",
  end: "end",
  call: "producer",
  compose: "group",
  call_together: "publisher",
  start_worker: "worker",
  stop_worker: "worker",
  get_result: "result-consumer",
  state: "result-consumer",
};

// -- serving -----------------------------------------------------------------

const stdout = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);

/** One of the four answers; `body` is the value of `ok`, else its fields. */
class Answer {
  constructor(kind, body) {
    this.kind = kind;
    this.body = body;
  }
}

/** Done; `value` is what the implementation returned. */
export const ok = (value = null) => new Answer("ok", value);

/**
 * The implementation has no such thing.
 *
 * @param {string} feature a name that the claim may deny (`countdown = false`),
 *   as a rule that of the option or the setting
 * @param {string} reason a sentence
 */
export const unsupported = (feature, reason) =>
  new Answer("unsupported", { feature, reason });

/**
 * The implementation signalled an error to its caller.
 *
 * @param {string} category connection, timeout, encode, decode,
 *   content-refused, unknown-task, revoked, rejected, retry, bad-argument, other
 * @param {Error} error with its native type and text
 * @param {"none" | "maybe" | "done"} effect whether what was asked for happened
 */
export const raised = (category, error, effect = "maybe") =>
  new Answer("raised", {
    category,
    type: error.name ?? typeof error,
    text: String(error.message ?? error),
    effect,
    cause: error.cause?.name ?? null,
  });

/**
 * Serve requests until standard input ends, then end the process.
 *
 * An error that the implementation throws where no caller could catch it goes
 * to standard error, and the driver lives on: what its caller is told counts.
 *
 * @param {Record<string, (body: object) => any>} handlers functions by the names
 *   of the operations, each given the body of its request; and `close`, called
 *   at the end
 */
export async function serve(handlers) {
  process.on("uncaughtException", (error) => console.error("stray:", error));
  for await (const line of lines(process.stdin)) {
    stdout(await replyTo(line, handlers));
  }
  await handlers.close?.();
  await new Promise((resolve) => stdout("", resolve)); // a long answer is still on its way
  process.exit();
}

/**
 * Report something that a worker or a probe task does.
 *
 * @param {"ready" | "started" | "ended" | "retried" | "errback" | "stopped"} kind
 * @param {object} data see `Event` in conformance/adapter.py
 */
export const emit = (kind, data) => passOn(eventLine(kind, data));

/** Answer the line of an event of this moment. */
export const eventLine = (kind, data) =>
  `${toText({ ev: kind, at: Date.now() / 1000, data })}\n`;

/** Write a line of the protocol that another process has made. */
export const passOn = (line) => void stdout(line);

async function* lines(stream) {
  let pending = "";
  for await (const chunk of stream.setEncoding("utf8")) {
    pending += chunk;
    if (!chunk.includes("\n")) continue;
    const complete = pending.split("\n");
    pending = complete.pop();
    yield* complete;
  }
  if (pending) yield pending;
}

async function replyTo(line, handlers) {
  let id = null;
  try {
    const request = fromText(line);
    if (Number.isInteger(request?.id)) id = request.id;
    return answerLine(id, await perform(request, handlers));
  } catch (error) {
    if (error instanceof Answer) return answerLine(id, error);
    return answerLine(id, new Answer("broken", { detail: told(error) }));
  }
}

async function perform(request, handlers) {
  const { op, body } = request ?? {};
  if (!Object.hasOwn(OPERATIONS, op) || !isPlain(body)) {
    throw new Error(
      `a request has an op (${Object.keys(OPERATIONS).join(", ")}) and a body; got ${inspect(request)}`,
    );
  }
  if (!handlers[op]) {
    const feature = op === "compose" ? body.kind : OPERATIONS[op];
    return unsupported(feature, `this driver has no function ${op}`);
  }
  const value = await handlers[op](body);
  if (value instanceof Answer) return value;
  return ok(op === "hello" ? introduction(value, body) : value);
}

function introduction(value, { protocol = PROTOCOL }) {
  if (protocol === PROTOCOL)
    return { protocol: PROTOCOL, missing: {}, ...value };
  throw new Error(
    `protocol ${protocol} is asked for; celeriac.mjs speaks ${PROTOCOL}: take the one of your Celeriac`,
  );
}

function answerLine(id, { kind, body }) {
  const line = `${toText({ id, [kind]: body })}\n`;
  if (Buffer.byteLength(line) <= LINE_LIMIT) return line;
  throw new Error(
    `an answer of ${line.length} characters; a line holds at most ${LINE_LIMIT} bytes`,
  );
}

const told = (error) => error?.stack ?? inspect(error);

// -- values ------------------------------------------------------------------
//
// JSON as it is; everything else is tagged, {"$": tag, "v": payload}. Native here
// are Buffer (bytes), Map, Set, BigInt, NaN and the infinities, and these three:

/** A list that was a tuple. */
export class Tuple extends Array {}

/** A moment that keeps its text: a Date has no microseconds and no offset. */
export class Moment extends Date {
  /** @param {string} text ISO 8601; without an offset it is taken as UTC */
  constructor(text) {
    super(/(Z|[+-]\d\d:?\d\d(:\d\d)?)$/.test(text) ? text : `${text}Z`);
    this.text = text;
  }
}

/**
 * What JavaScript has no type for: date, time, timedelta, decimal, uuid, complex,
 * signature, error, exchange, queue, router, opaque.
 */
export class Tagged {
  constructor(tag, value) {
    this.tag = tag;
    this.value = value;
  }
}

const FLOATS = { __proto__: null, nan: NaN, inf: Infinity, "-inf": -Infinity };

/** How the payload of a tag becomes a value; any other tag stays `Tagged`. */
const UNPACK = {
  __proto__: null,
  bytes: (text) => Buffer.from(text, "base64"),
  datetime: (text) => new Moment(text),
  float: (text) => FLOATS[text] ?? Number(text),
  integer: (text) => BigInt(text), // of this file alone, see fromText
  map: (pairs) => new Map(pairs),
  set: (list) => new Set(list),
  tuple: (list) => Tuple.from(list),
};

/** Texts, in which nothing is to be replaced, and integers too long to be safe. */
const LONG_INTEGERS =
  /"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\d.eE+-])(-?\d{16,})(?![\d.eE])/g;

/** Answer the value whose form on the wire is `text`. */
export function fromText(text) {
  const exact = text.replace(LONG_INTEGERS, (found, integer) =>
    integer === undefined || Number.isSafeInteger(Number(integer))
      ? found
      : `{"$":"integer","v":"${integer}"}`,
  );
  return JSON.parse(exact, (_, value) => {
    if (!value || typeof value !== "object" || !Object.hasOwn(value, "$"))
      return value;
    return UNPACK[value.$]?.(value.v) ?? new Tagged(String(value.$), value.v);
  });
}

/** Answer the form of a value on the wire, as text. */
export function toText(value) {
  if (value === null || value === undefined) return "null";
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number" && !Number.isFinite(value))
    return tagged("float", String(value).replace("inity", "").toLowerCase());
  if (["boolean", "number", "string"].includes(typeof value))
    return JSON.stringify(value);
  return objectText(value);
}

function objectText(value) {
  if (value instanceof Tuple) return tagged("tuple", Array.from(value));
  if (Array.isArray(value)) return `[${Array.from(value, toText).join(",")}]`;
  if (Buffer.isBuffer(value)) return tagged("bytes", value.toString("base64"));
  if (value instanceof Map) return tagged("map", [...value]);
  if (value instanceof Set) return tagged("set", [...value]);
  if (value instanceof Date)
    return tagged("datetime", value.text ?? value.toISOString());
  if (value instanceof Tagged) return tagged(value.tag, value.value);
  if (!isPlain(value)) return tagged("opaque", described(value));
  if (Object.hasOwn(value, "$")) return tagged("map", Object.entries(value));
  return members(value);
}

const tagged = (tag, payload) => members({ $: tag, v: payload });

const members = (value) =>
  `{${Object.entries(value)
    .map(([key, item]) => `${JSON.stringify(key)}:${toText(item)}`)
    .join(",")}}`;

const isPlain = (value) =>
  typeof value === "object" &&
  [Object.prototype, null].includes(Object.getPrototypeOf(value));

const described = (value) => ({
  type: value.constructor?.name ?? typeof value,
  repr: inspect(value),
});
