package celeriac;

import static celeriac.Answer.raised;
import static celeriac.Answer.unsupported;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BiPredicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Drives celery-java: producer, and consumer of the results of its own calls. */
final class Driver {
  /** Settings that it does not have, and the value that says what it does anyway. */
  private static final Map<String, String> ANYWAY =
      Map.of("accept_content", "[\"json\"]", "task_serializer", "\"json\"");

  /** What a WorkerException has as its message. */
  private static final Pattern FAILURE = Pattern.compile("(.*?)\\((.*)\\)", Pattern.DOTALL);

  private final ObjectMapper json = new ObjectMapper();
  private final Map<String, Future<Object>> results = new HashMap<>();
  private JsonNode scenario;
  private Client client;

  /** Answers the value of an operation, or throws an {@link Answer}. */
  Object perform(String op, JsonNode body) throws Exception {
    return switch (op) {
      case "hello" -> hello();
      case "begin" -> begin(body);
      case "end" -> end();
      case "call" -> call(body);
      case "get_result" -> getResult(body);
      case "state" -> throw unsupported("state", "a result is a future, which has no state");
      case "compose" -> throw unsupported(body.get("kind").asText(), "a call is a single task");
      case "call_together" -> throw unsupported("publisher", "a client has its own connection");
      case "start_worker", "stop_worker" ->
          throw unsupported("worker", "a worker refuses names of tasks that are not Class#method");
      default -> throw new IllegalArgumentException("there is no operation " + op);
    };
  }

  private Object hello() {
    return Map.of(
        "protocol", 1, "implementation", "celery-java", "version", "1.10.4", "missing", Map.of());
  }

  private Object begin(JsonNode body) {
    refuse(body.path("settings"), (name, value) -> value.equals(ANYWAY.get(name)));
    if (body.path("task_attributes").size() > 0) {
      throw unsupported("task_attributes", "a task that is called is a name");
    }
    scenario = body;
    return null;
  }

  private Object end() throws IOException {
    results.clear();
    Client leaving = client;
    client = null;
    if (leaving != null) {
      try {
        leaving.close(); // connects if it never was, so that it may fail
      } catch (UncheckedIOException error) {
        System.err.println("close: " + error);
      }
    }
    return null;
  }

  private Object call(JsonNode body) throws Exception {
    refuse(body.path("options"), (name, value) -> value.equals("null"));
    if (body.hasNonNull("signature")) {
      throw unsupported("signature", "there are no signatures");
    }
    String mode = body.path("mode").asText("apply_async");
    if (mode.equals("signature") || mode.equals("direct")) {
      throw unsupported(mode, "a task is called by its name");
    }
    if (!body.path("kwargs").isMissingNode() && !body.get("kwargs").equals(json.createObjectNode())) {
      throw unsupported("kwargs", "a call has positional arguments only");
    }
    JsonNode given = Values.plain(body.path("args"));
    if (!given.isMissingNode() && !given.isArray()) {
      throw unsupported("args", "a call that is no list of arguments does not compile");
    }
    try {
      Object[] args = json.convertValue(given, Object[].class);
      Future<Object> result = connected().submit(body.get("task").asText(), args);
      results.put(client.lastId(), result);
      return Map.of("task_id", client.lastId());
    } catch (IOException | UncheckedIOException error) {
      throw raised("connection", error, "maybe");
    }
  }

  private Object getResult(JsonNode body) throws InterruptedException {
    if (body.path("on_message").asBoolean() || body.path("on_message").isTextual()) {
      throw unsupported("on_message", "a future is given the value alone");
    }
    if (!body.path("propagate").asBoolean(true)) {
      throw unsupported("no_propagate", "a failure always raises");
    }
    Future<Object> result = results.get(body.get("task_id").asText());
    if (result == null) {
      throw unsupported("foreign_results", "a client has futures of its own calls alone");
    }
    try {
      Map<String, Object> answer = new HashMap<>();
      long patience = (long) (1000 * body.get("timeout").asDouble(3600));
      answer.put("value", result.get(patience, TimeUnit.MILLISECONDS));
      answer.put("messages", List.of());
      return answer;
    } catch (TimeoutException error) {
      throw raised("timeout", error, "none");
    } catch (ExecutionException error) {
      Matcher failure = FAILURE.matcher(String.valueOf(error.getCause().getMessage()));
      throw failure.matches()
          ? raised("other", failure.group(1), failure.group(2), "done", null)
          : raised("other", error.getCause(), "done");
    }
  }

  /** Answers the client of the scenario, which connects when it is first used. */
  private Client connected() {
    if (client == null) {
      String broker = scenario.get("broker_url").asText().replaceFirst("//$", ""); // the default host
      boolean awaited = scenario.hasNonNull("backend_url");
      String backend = awaited ? broker.replaceFirst("^amqp", "rpc") : null;
      client = new Client(broker, backend, scenario.get("queue").asText());
    }
    return client;
  }

  /** Refuses the first option or setting that asks for something. */
  private static void refuse(JsonNode given, BiPredicate<String, String> asksForNothing) {
    given
        .fields()
        .forEachRemaining(
            entry -> {
              if (!asksForNothing.test(entry.getKey(), entry.getValue().toString())) {
                throw unsupported(entry.getKey(), "celery-java has no " + entry.getKey());
              }
            });
  }
}
