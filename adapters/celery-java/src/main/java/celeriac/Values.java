package celeriac;

import static celeriac.Answer.unsupported;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** Values as they travel between harness and driver: what JSON has no type for is tagged. */
final class Values {
  private Values() {}

  /** Answers a value as Jackson has it, for which a tuple is a list. */
  static JsonNode plain(JsonNode value) {
    if (value.isArray()) {
      ArrayNode list = JsonNodeFactory.instance.arrayNode();
      value.forEach(item -> list.add(plain(item)));
      return list;
    }
    if (!value.isObject()) {
      return value;
    }
    if (value.path("$").asText().equals("tuple")) {
      return plain(value.get("v"));
    }
    if (value.has("$")) {
      throw unsupported("typed_json", "JSON is what Jackson makes of a value");
    }
    ObjectNode members = JsonNodeFactory.instance.objectNode();
    value.fields().forEachRemaining(each -> members.set(each.getKey(), plain(each.getValue())));
    return members;
  }
}
