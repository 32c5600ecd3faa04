package celeriac;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** Speaks the adapter protocol: a line of JSON for each request, and one for its answer. */
public final class Main {
  private static final ObjectMapper JSON = new ObjectMapper();

  private Main() {}

  /** Serves requests, in order, until standard input ends. */
  public static void main(String[] arguments) throws IOException {
    PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    System.setOut(System.err); // what anybody else prints
    BufferedReader requests =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    Driver driver = new Driver();
    for (String line = requests.readLine(); line != null; line = requests.readLine()) {
      answers.print(JSON.writeValueAsString(answer(driver, line)) + "\n");
      answers.flush();
    }
    System.exit(0);
  }

  private static Map<String, Object> answer(Driver driver, String line) {
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("id", null);
    try {
      JsonNode request = JSON.readTree(line);
      answer.put("id", request.get("id"));
      answer.put("ok", driver.perform(request.get("op").asText(), request.path("body")));
    } catch (Answer other) {
      answer.put(other.kind, other.body);
    } catch (Exception error) {
      StringWriter trace = new StringWriter();
      error.printStackTrace(new PrintWriter(trace));
      answer.put("broken", Map.of("detail", trace.toString()));
    }
    return answer;
  }
}
