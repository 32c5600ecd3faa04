//! Calls, made as a program that uses rusty-celery makes them: a signature, its options, `send_task`.

use celery::Celery;
use celery::task::{Signature, Task};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::builder::content_type;
use crate::probes::{add, child, context, echo, fail, retry, sleep};
use crate::protocol::{Answer, Body, plain, tagged, text};
use crate::refusal::{ill_typed, raised, whole};

/// What is to be called.
pub struct Call<'a> {
    task: &'a str,
    args: &'a Value,
    kwargs: &'a Value,
    options: &'a Map<String, Value>,
}

/// Tasks that cannot be written for rusty-celery, and what they would need.
const MISSING: [(&str, &str); 5] = [
    ("celeriac.progress", "update_state"),
    ("celeriac.hello", "update_state"),
    ("celeriac.ignore", "ignore"),
    ("celeriac.reject", "reject"),
    ("celeriac.handler", "errback"),
];

impl<'a> Call<'a> {
    /// Reads the body of the request `call`, or says why rusty-celery has no such form of one.
    ///
    /// Every call is that of a signature, so that the modes `apply_async` and `signature` are the same.
    pub fn read(body: &'a Body) -> Result<Self, Answer> {
        if !body.get("signature").is_none_or(Value::is_null) {
            let reason = "a signature takes no arguments or options beside its own";
            return Err(Answer::unsupported("partial_signatures", reason));
        }
        let mode = text(body, "mode").unwrap_or("apply_async");
        if !["apply_async", "signature"].contains(&mode) {
            return Err(Answer::unsupported(mode, "there is send_task of a signature, and no other form"));
        }
        let parts = (text(body, "task"), body.get("options").and_then(Value::as_object));
        let (Some(task), Some(options)) = parts else {
            return Err(Answer::Broken("a call has a task and options".into()));
        };
        Ok(Self { task, args: &body["args"], kwargs: &body["kwargs"], options })
    }

    /// Sends the task and answers its id.
    pub async fn send(&self, app: &Celery) -> Answer {
        match self.task {
            add::NAME => self.send_as::<add>(app).await,
            echo::NAME => self.send_as::<echo>(app).await,
            fail::NAME => self.send_as::<fail>(app).await,
            sleep::NAME => self.send_as::<sleep>(app).await,
            retry::NAME => self.send_as::<retry>(app).await,
            child::NAME => self.send_as::<child>(app).await,
            context::NAME => self.send_as::<context>(app).await,
            name => match MISSING.iter().find(|(missing, _)| *missing == name) {
                Some((_, feature)) => Answer::unsupported(feature, format!("{name} cannot be written")),
                None => ill_typed(format!("there is no type for the task {name}")),
            },
        }
    }

    async fn send_as<T: Task>(&self, app: &Celery) -> Answer {
        let signature = match self.signature::<T>() {
            Ok(signature) => signature,
            Err(answer) => return answer,
        };
        match app.send_task(signature).await {
            Ok(result) => Answer::Ok(json!({"task_id": result.task_id})),
            Err(error) => raised(&error),
        }
    }

    fn signature<T: Task>(&self) -> Result<Signature<T>, Answer> {
        let named = Value::Object(bound::<T>(self.args, self.kwargs)?);
        let params = serde_json::from_value(named).map_err(|error| ill_typed(error.to_string()))?;
        let mut signature = Signature::new(params);
        for (name, value) in self.options.iter().filter(|(_, value)| !value.is_null()) {
            signature = with_option(signature, name, value)?;
        }
        Ok(signature)
    }
}

/// Answers the parameters of a task by name, if a call with these arguments would compile.
fn bound<T: Task>(args: &Value, kwargs: &Value) -> Result<Map<String, Value>, Answer> {
    let json_only = |tag| Answer::unsupported("typed_json", format!("serde_json::Value holds no {tag}"));
    let (args, kwargs) = (plain(args).map_err(json_only)?, plain(kwargs).map_err(json_only)?);
    let (Value::Array(args), Value::Object(mut named)) = (args, kwargs) else {
        return Err(ill_typed("arguments are written one by one"));
    };
    if T::NAME == echo::NAME && !args.is_empty() {
        let reason = "a task names all its arguments, and a signature has no positional ones";
        return Err(Answer::unsupported("variadic_tasks", reason));
    }
    if args.len() > T::ARGS.len() {
        return Err(ill_typed(format!("{} takes {} arguments, not {}", T::NAME, T::ARGS.len(), args.len())));
    }
    let stranger = |name: &&String| T::NAME != echo::NAME && !T::ARGS.contains(&name.as_str());
    if let Some(name) = named.keys().find(stranger) {
        return Err(ill_typed(format!("{} has no argument {name}", T::NAME)));
    }
    for (name, value) in T::ARGS.iter().zip(args) {
        if named.insert((*name).into(), value).is_some() {
            return Err(ill_typed(format!("{} is given {name} twice", T::NAME)));
        }
    }
    if T::NAME == retry::NAME {
        named.entry("countdown").or_insert(json!(0)); // an argument of a task has no default, the probe's is 0
    }
    Ok(named)
}

/// Answers a signature with one more option, or says that there is no such option.
fn with_option<T: Task>(signature: Signature<T>, name: &str, value: &Value) -> Result<Signature<T>, Answer> {
    Ok(match name {
        "countdown" => signature.with_countdown(whole(name, value)?),
        "eta" => signature.with_eta(moment(name, value)?),
        "expires" if value.is_number() => signature.with_expires_in(whole(name, value)?),
        "expires" => signature.with_expires(moment(name, value)?),
        "soft_time_limit" => signature.with_time_limit(whole(name, value)?),
        "time_limit" => signature.with_hard_time_limit(whole(name, value)?),
        "serializer" => signature.with_content_type(content_type(value)?),
        "queue" => match value.as_str() {
            Some(queue) => signature.with_queue(queue),
            None => return Err(Answer::unsupported("entities", "a queue is its name")),
        },
        _ => return Err(Answer::unsupported(name, format!("Signature has nothing like {name}"))),
    })
}

/// Reads a `DateTime<Utc>`; a moment without an offset is of another type.
fn moment(name: &str, value: &Value) -> Result<DateTime<Utc>, Answer> {
    let Some(("datetime", Value::String(text))) = tagged(value) else {
        return Err(ill_typed(format!("{name} is {value}, expected DateTime<Utc>")));
    };
    DateTime::parse_from_rfc3339(text)
        .map(|moment| moment.with_timezone(&Utc))
        .map_err(|_| ill_typed(format!("{name} is the NaiveDateTime {text}, expected DateTime<Utc>")))
}
