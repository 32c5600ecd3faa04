//! From the settings of a scenario to an application of rusty-celery.

use celery::CeleryBuilder;
use celery::protocol::MessageContentType;
use serde_json::{Map, Value};

use crate::protocol::Answer;
use crate::refusal::{ill_typed, whole};

/// Answers a builder with all settings; a setting that rusty-celery does not have is refused by its name.
///
/// How many messages a worker takes ahead is one number here, `prefetch_count`, and a product of two in Celery.
pub fn builder(url: &str, queue: &str, settings: &Map<String, Value>) -> Result<CeleryBuilder, Answer> {
    let mut builder = CeleryBuilder::new("celeriac", url).default_queue(queue);
    for (name, value) in settings {
        builder = match name.as_str() {
            "broker_connection_timeout" => builder.broker_connection_timeout(whole(name, value)?),
            "broker_connection_retry" => builder.broker_connection_retry(boolean(name, value)?),
            "broker_connection_max_retries" => builder.broker_connection_max_retries(whole(name, value)?),
            "broker_heartbeat" => builder.heartbeat(Some(whole(name, value)?)),
            "task_time_limit" => builder.task_hard_time_limit(whole(name, value)?),
            "task_soft_time_limit" => builder.task_time_limit(whole(name, value)?),
            "task_acks_late" => builder.acks_late(boolean(name, value)?),
            "task_serializer" => builder.task_content_type(content_type(value)?),
            "task_routes" => routed(builder, value)?,
            "accept_content" => accepting(builder, value)?,
            "enable_utc" if value == true => builder, // there is nothing else
            _ => return Err(Answer::unsupported(name, format!("CeleryBuilder has nothing like {name}"))),
        };
    }
    Ok(builder)
}

/// Answers the variant of `MessageContentType` that a serializer is; the crate's default features have JSON alone.
pub fn content_type(value: &Value) -> Result<MessageContentType, Answer> {
    match value.as_str() {
        Some("json") => Ok(MessageContentType::Json),
        Some(name @ ("yaml" | "pickle" | "msgpack")) => Err(Answer::unsupported(
            &format!("serializer:{name}"),
            "only with the feature extra_content_types of the crate",
        )),
        _ => Err(ill_typed(format!("no variant of MessageContentType is called {value}"))),
    }
}

/// Leaves a builder as it is if it accepts just what it is told to accept: JSON.
fn accepting(builder: CeleryBuilder, value: &Value) -> Result<CeleryBuilder, Answer> {
    match value.as_array().map(Vec::as_slice) {
        Some([name]) if name == "json" => Ok(builder),
        _ => Err(Answer::unsupported("accept_content", "what is accepted is chosen when the crate is compiled")),
    }
}

/// Adds the routes of a mapping from patterns to queues.
fn routed(mut builder: CeleryBuilder, routes: &Value) -> Result<CeleryBuilder, Answer> {
    let Some(routes) = routes.as_object().filter(|routes| !routes.contains_key("$")) else {
        return Err(Answer::unsupported("routers", "there is one list of rules, and no routers"));
    };
    for (pattern, route) in routes {
        builder = builder.task_route(pattern, queue_of(route)?);
    }
    Ok(builder)
}

fn queue_of(route: &Value) -> Result<&str, Answer> {
    match route {
        Value::String(queue) => Ok(queue),
        Value::Object(parts) if parts.keys().eq(["queue"]) => {
            parts["queue"].as_str().ok_or_else(|| Answer::unsupported("entities", "a queue is its name"))
        }
        _ => Err(Answer::unsupported("route_options", "a route leads to a queue, and has no options")),
    }
}

fn boolean(name: &str, value: &Value) -> Result<bool, Answer> {
    value.as_bool().ok_or_else(|| ill_typed(format!("{name} is {value}, expected bool")))
}
