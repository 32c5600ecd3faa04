package celeriac;

import java.util.LinkedHashMap;
import java.util.Map;

/** Thrown in place of a value: what is asked for cannot be had, or was signalled to the caller. */
final class Answer extends RuntimeException {
  final String kind;
  final Map<String, Object> body;

  private Answer(String kind, Map<String, Object> body) {
    super(kind + " " + body);
    this.kind = kind;
    this.body = body;
  }

  /** celery-java has no such thing. */
  static Answer unsupported(String feature, String reason) {
    return new Answer("unsupported", Map.of("feature", feature, "reason", reason));
  }

  /** celery-java signalled an error to its caller. */
  static Answer raised(String category, Throwable error, String effect) {
    return raised(category, name(error), String.valueOf(error.getMessage()), effect, error.getCause());
  }

  /** celery-java signalled an error to its caller, who reads a type and a text in it. */
  static Answer raised(
      String category, String type, String text, String effect, Throwable cause) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("category", category);
    body.put("type", type);
    body.put("text", text);
    body.put("effect", effect);
    body.put("cause", cause == null ? null : name(cause));
    return new Answer("raised", body);
  }

  private static String name(Throwable error) {
    return error.getClass().getSimpleName();
  }
}
