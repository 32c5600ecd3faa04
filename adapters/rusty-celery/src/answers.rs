//! Lines of the adapter protocol, and the three ways to answer that are not the driver's fault.

use std::time::{SystemTime, UNIX_EPOCH};

use celery::error::{BrokerError, CeleryError};
use serde_json::{json, Value};

/// The value of `ok`, or the object of any other answer.
pub type Answer = Result<Value, Value>;

/// Done.
pub fn ok(value: Value) -> Answer {
    Ok(value)
}

/// The implementation has no such thing: an option or a setting, by its name.
pub fn unsupported<T>(feature: impl Into<Value>, reason: &str) -> Result<T, Value> {
    Err(json!({ "unsupported": { "feature": feature.into(), "reason": reason } }))
}

/// The implementation signalled an error to its caller.
pub fn raised(error: &CeleryError, effect: &str) -> Answer {
    failed(category(error), &format!("{error:?}"), effect)
}

/// Likewise, with a category and a text of the driver's own.
pub fn failed(category: &str, text: &str, effect: &str) -> Answer {
    let kind = text.split(['(', ' ']).next();
    Err(json!({ "raised": {
        "category": category, "type": kind, "text": text, "effect": effect, "cause": null,
    } }))
}

fn category(error: &CeleryError) -> &'static str {
    match error {
        CeleryError::BrokerError(BrokerError::ProtocolError(_)) | CeleryError::ProtocolError(_) => "encode",
        CeleryError::BrokerError(BrokerError::InvalidBrokerUrl(_)) => "bad-argument",
        CeleryError::BrokerError(_) | CeleryError::IoError(_) => "connection",
        _ => "other",
    }
}

/// Answer a request.
pub fn reply(id: &Value, answer: Answer) {
    let mut line = match answer {
        Ok(value) => json!({ "ok": value }),
        Err(other) => other,
    };
    line["id"] = id.clone();
    println!("{line}");
}

/// Report something that a worker or a probe does at this moment.
pub fn emit(kind: &str, data: Value) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let at = now.unwrap_or_default().as_secs_f64();
    println!("{}", json!({ "ev": kind, "at": at, "data": data }));
}
