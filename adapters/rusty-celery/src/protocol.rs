//! The adapter protocol: requests, the four answers, events, and values that JSON lacks.

use std::io::{BufRead, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// The version of the protocol that is spoken here.
pub const PROTOCOL: u64 = 1;

/// The arguments of a request, by name.
pub type Body = Map<String, Value>;

/// What the harness asks.
pub struct Request {
    pub id: Value,
    pub op: String,
    pub body: Body,
}

/// What the driver answers; exactly one of these to every request.
pub enum Answer {
    /// Done, with what rusty-celery returned.
    Ok(Value),
    /// rusty-celery, or the Rust compiler in its place, signalled an error.
    Raised(Raised),
    /// rusty-celery has no such thing.
    Unsupported { feature: String, reason: String },
    /// The driver failed.
    Broken(String),
}

/// An error that the caller was told.
pub struct Raised {
    pub category: &'static str,
    pub kind: String,
    pub text: String,
    pub effect: &'static str,
    pub cause: Option<String>,
}

impl Answer {
    /// Answers that rusty-celery has no such thing.
    pub fn unsupported(feature: &str, reason: impl Into<String>) -> Self {
        Self::Unsupported { feature: feature.into(), reason: reason.into() }
    }

    fn to_json(&self, id: &Value) -> Value {
        match self {
            Self::Ok(value) => json!({"id": id, "ok": value}),
            Self::Raised(raised) => json!({"id": id, "raised": {
                "category": raised.category,
                "type": raised.kind,
                "text": raised.text,
                "effect": raised.effect,
                "cause": raised.cause,
            }}),
            Self::Unsupported { feature, reason } => {
                json!({"id": id, "unsupported": {"feature": feature, "reason": reason}})
            }
            Self::Broken(detail) => json!({"id": id, "broken": {"detail": detail}}),
        }
    }
}

/// Reads the next request; `None` at the end of the input.
pub fn read_request(input: &mut impl BufRead) -> Result<Option<Request>, String> {
    let mut line = String::new();
    match input.read_line(&mut line) {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(format!("a request cannot be read: {error}")),
    }
    let message: Value = serde_json::from_str(&line).map_err(|error| format!("a request is no JSON: {error}"))?;
    let (Some(op), Some(body)) = (message["op"].as_str(), message["body"].as_object()) else {
        return Err(format!("a request has op and body, unlike {line:.200}"));
    };
    Ok(Some(Request { id: message["id"].clone(), op: op.into(), body: body.clone() }))
}

/// Writes the answer to a request.
pub fn answer(id: &Value, answer: &Answer) {
    write_line(&answer.to_json(id).to_string());
}

/// Writes an event of this moment.
pub fn event(kind: &str, data: &Value) {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    write_line(&json!({"ev": kind, "at": at, "data": data}).to_string());
}

/// Writes one whole line, whichever thread it comes from; a harness that has gone away is no error.
pub fn write_line(line: &str) {
    let mut output = std::io::stdout().lock();
    let _ = output.write_all(format!("{line}\n").as_bytes()).and_then(|()| output.flush());
}

/// Answers a member of a request's body that is a text.
pub fn text<'a>(body: &'a Body, name: &str) -> Option<&'a str> {
    body.get(name)?.as_str()
}

/// Splits a tagged value, `{"$": tag, "v": payload}`, into its parts; `None` for any other value.
pub fn tagged(value: &Value) -> Option<(&str, &Value)> {
    Some((value.get("$")?.as_str()?, value.get("v")?))
}

/// Answers a value as plain JSON, tuples as lists; `Err` names the first tag that JSON cannot hold.
pub fn plain(value: &Value) -> Result<Value, String> {
    match (tagged(value), value) {
        (Some(("tuple", items)), _) => plain(items),
        (Some((tag, _)), _) => Err(tag.into()),
        (None, Value::Array(items)) => items.iter().map(plain).collect(),
        (None, Value::Object(members)) => members
            .iter()
            .map(|(name, member)| Ok((name.clone(), plain(member)?)))
            .collect::<Result<Map<_, _>, _>>()
            .map(Value::Object),
        (None, other) => Ok(other.clone()),
    }
}

/// Answers how plain JSON travels in an event: an object with a key `$` would be taken for a tag.
pub fn travelling(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(travelling).collect(),
        Value::Object(members) if members.contains_key("$") => {
            let pairs: Vec<_> = members.iter().map(|(name, member)| json!([name, travelling(member)])).collect();
            json!({"$": "map", "v": pairs})
        }
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), travelling(member))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}
