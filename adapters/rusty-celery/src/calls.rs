//! Calls: a signature of the task's type, with the options that a signature has.

use crate::answers::unsupported;
use crate::app::number;
use crate::probes::{add, fail, retry, sleep, Echo};

use celery::error::CeleryError;
use celery::task::{AsyncResult, Signature, Task};
use celery::Celery;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

type Sent = Result<AsyncResult, CeleryError>;

/// A call that can be made, but for its arguments.
pub struct Call<'a> {
    task: &'a str,
    args: Vec<Value>,
    kwargs: Map<String, Value>,
    options: Map<String, Value>,
}

impl<'a> Call<'a> {
    /// Read the body of a request; refuses what no call has.
    pub fn read(body: &'a Value) -> Result<Self, Value> {
        if !body["signature"].is_null() {
            return unsupported("signature", "a signature is not data");
        }
        if body["mode"] != "apply_async" {
            return unsupported(body["mode"].clone(), "a call is a signature that is sent");
        }
        let (args, kwargs) = (native(&body["args"])?, native(&body["kwargs"])?);
        if !(args.is_array() || args.is_null()) || !(kwargs.is_object() || kwargs.is_null()) {
            return unsupported("untyped_call", "such a call does not compile");
        }
        Ok(Self {
            task: body["task"].as_str().unwrap_or_default(),
            args: args.as_array().cloned().unwrap_or_default(),
            kwargs: kwargs.as_object().cloned().unwrap_or_default(),
            options: body["options"].as_object().cloned().unwrap_or_default(),
        })
    }

    /// Send it; refuses what its task or a signature does not have.
    pub async fn send(self, app: &Celery) -> Result<Sent, Value> {
        match self.task {
            add::NAME => self.send_as::<add>(app).await,
            Echo::NAME => self.send_as::<Echo>(app).await,
            fail::NAME => self.send_as::<fail>(app).await,
            retry::NAME => self.send_as::<retry>(app).await,
            sleep::NAME => self.send_as::<sleep>(app).await,
            _ => unsupported("untyped_call", "a task is a type, and this has none"),
        }
    }

    async fn send_as<T: Task>(self, app: &Celery) -> Result<Sent, Value> {
        let mut signature = Signature::<T>::new(self.params::<T>()?);
        for (name, value) in self.options.iter().filter(|(_, value)| !value.is_null()) {
            signature = with_option(signature, name, value)?;
        }
        Ok(app.send_task(signature).await)
    }

    /// Answer the members of the task's type: positional ones are those that it names.
    fn params<T: Task>(&self) -> Result<T::Params, Value> {
        let names = T::ARGS.iter().map(|name| (*name).to_owned());
        let mut members: Map<_, _> = names.zip(self.args.iter().cloned()).collect();
        let count = members.len() + self.kwargs.len();
        members.extend(self.kwargs.clone());
        let complete = members.len() == count && self.args.len() <= T::ARGS.len();
        if T::NAME == Echo::NAME && !self.args.is_empty() {
            return unsupported("positional_arguments", "arguments are sent by their names");
        }
        match serde_json::from_value(members.into()) {
            Ok(params) if complete => Ok(params),
            _ => unsupported("untyped_call", "such a call does not compile"),
        }
    }
}

fn with_option<T: Task>(signature: Signature<T>, name: &str, value: &Value) -> Result<Signature<T>, Value> {
    Ok(match (name, number(value), moment(value), value.as_str()) {
        ("countdown", Some(seconds), ..) => signature.with_countdown(seconds),
        ("eta", _, Some(moment), _) => signature.with_eta(moment),
        ("expires", Some(seconds), ..) => signature.with_expires_in(seconds),
        ("expires", _, Some(moment), _) => signature.with_expires(moment),
        ("time_limit", Some(seconds), ..) => signature.with_hard_time_limit(seconds),
        ("soft_time_limit", Some(seconds), ..) => signature.with_time_limit(seconds),
        ("queue", .., Some(queue)) => signature.with_queue(queue),
        ("serializer", .., Some("json")) => signature,
        ("countdown" | "expires" | "time_limit" | "soft_time_limit", ..) if value.is_number() => {
            return unsupported("fractional_seconds", "seconds are whole and not negative");
        }
        ("eta" | "expires", ..) if value["$"] == "datetime" => {
            return unsupported("naive_eta", "a moment has an offset");
        }
        ("countdown" | "eta" | "expires" | "time_limit" | "soft_time_limit" | "queue", ..) => {
            return unsupported("untyped_call", "such an option does not compile");
        }
        _ => return unsupported(name, &format!("a signature has no such {name}")),
    })
}

fn moment(value: &Value) -> Option<DateTime<Utc>> {
    let text = value["v"].as_str().filter(|_| value["$"] == "datetime")?;
    DateTime::parse_from_rfc3339(text).ok().map(Into::into)
}

/// Answer a value as serde_json has it, for which a tuple is an array.
fn native(value: &Value) -> Result<Value, Value> {
    match value {
        Value::Array(items) => items.iter().map(native).collect(),
        Value::Object(tagged) if value["$"] == "tuple" => native(&tagged["v"]),
        Value::Object(members) if !members.contains_key("$") => {
            members.iter().map(|(name, member)| Ok((name.clone(), native(member)?))).collect()
        }
        Value::Object(_) => unsupported("typed_json", "serde_json has no such type"),
        _ => Ok(value.clone()),
    }
}
