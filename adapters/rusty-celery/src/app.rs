//! Apps of rusty-celery, and Celery's settings under the names that they have there.

use crate::answers::unsupported;

use celery::error::CeleryError;
use celery::{Celery, CeleryBuilder};
use serde_json::{json, Value};

/// Answer the version of the crate, which `Cargo.toml` pins.
pub fn version() -> &'static str {
    let manifest = include_str!("../Cargo.toml");
    let pin = manifest.split("celery = \"=").nth(1).unwrap_or_default();
    pin.split('"').next().unwrap_or_default()
}

/// Refuse the first setting that it does not have, or whose value it cannot have.
pub fn check(settings: &Value) -> Result<(), Value> {
    for (name, value) in settings.as_object().into_iter().flatten() {
        if !value.is_null() && !is_offered(name, value) {
            return unsupported(name.as_str(), &format!("CeleryBuilder has no {name}"));
        }
    }
    Ok(())
}

fn is_offered(name: &str, value: &Value) -> bool {
    match name {
        "task_acks_late" | "broker_connection_retry" => value.is_boolean(),
        "task_time_limit"
        | "task_soft_time_limit"
        | "broker_connection_timeout"
        | "broker_connection_max_retries" => number(value).is_some(),
        "accept_content" => *value == json!(["json"]),
        "task_serializer" => value == "json",
        _ => false,
    }
}

/// Connect an app that has these settings; it can consume the default queue and `queues`.
pub async fn build(url: &str, scenario: &Value, settings: &Value, queues: &[&str]) -> Result<Celery, CeleryError> {
    let queue = scenario["queue"].as_str().unwrap_or("celery");
    let mut builder = CeleryBuilder::new("celeriac", url).default_queue(queue).task_retry_for_unexpected(false);
    for name in queues {
        builder = builder.task_route(&format!("queue of {name}"), name); // or it is not declared
    }
    for (name, value) in settings.as_object().into_iter().flatten() {
        builder = configured(builder, name, value);
    }
    builder.build().await
}

fn configured(builder: CeleryBuilder, name: &str, value: &Value) -> CeleryBuilder {
    match (name, value.as_bool(), number(value)) {
        ("task_acks_late", Some(flag), _) => builder.acks_late(flag),
        ("broker_connection_retry", Some(flag), _) => builder.broker_connection_retry(flag),
        ("task_time_limit", _, Some(n)) => builder.task_hard_time_limit(n),
        ("task_soft_time_limit", _, Some(n)) => builder.task_time_limit(n),
        ("broker_connection_timeout", _, Some(n)) => builder.broker_connection_timeout(n),
        ("broker_connection_max_retries", _, Some(n)) => builder.broker_connection_max_retries(n),
        _ => builder,
    }
}

/// Answer a number as it takes them: whole, and not negative.
pub fn number(value: &Value) -> Option<u32> {
    let whole = value.as_f64().filter(|number| number.fract() == 0.0)?;
    (0.0..=f64::from(u32::MAX)).contains(&whole).then_some(whole as u32)
}
