//! The probe tasks that can be written for rusty-celery, and what they report of themselves.
//!
//! There is no errback, no `Ignore`, no `Reject` and no state of a task's own, so that `handler`, `ignore`, `reject`,
//! `progress` and `hello` are missing.  All tasks have the options that a task has by default.

#![allow(non_local_definitions)] // the macro of 0.5.5 is older than this lint

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use celery::Celery;
use celery::error::{CeleryError, TaskError};
use celery::task::{Request, Task, TaskOptions, TaskResult};
use serde_json::{Map, Value, json};

use crate::protocol::{event, travelling};

static WORKER: OnceLock<String> = OnceLock::new();

/// Registers every probe with the application of a worker of this name.
pub async fn register(app: &Celery, worker: &str) -> Result<(), CeleryError> {
    WORKER.get_or_init(|| worker.into());
    app.register_task::<add>().await?;
    app.register_task::<echo>().await?;
    app.register_task::<fail>().await?;
    app.register_task::<sleep>().await?;
    app.register_task::<retry>().await?;
    app.register_task::<child>().await?;
    app.register_task::<context>().await
}

/// Reports something of a task, with what its request says.
fn report<T: Task>(kind: &str, task: &T, more: Value) {
    let request = task.request();
    let mut data = json!({
        "worker": WORKER.get(),
        "task_id": request.id,
        "task": T::NAME,
        "attempt": request.retries,
    });
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
    event(kind, &data);
}

fn started<T: Task>(task: &T, args: &[&Value], kwargs: &Value) {
    let args: Vec<_> = args.iter().map(|value| travelling(value)).collect();
    report("started", task, json!({"args": args, "kwargs": travelling(kwargs)}));
}

async fn succeeded<T: Task<Returns = Value>>(task: &T, value: &Value) {
    report("ended", task, json!({"state": "SUCCESS", "value": travelling(value)}));
}

async fn failed<T: Task>(task: &T, error: &TaskError) {
    let (name, text) = match error {
        TaskError::Retry(_) => return report("retried", task, json!({})),
        TaskError::ExpectedError(text) => ("ExpectedError", text.clone()),
        TaskError::UnexpectedError(text) => ("UnexpectedError", text.clone()),
        TaskError::TimeoutError => ("TimeoutError", error.to_string()),
    };
    let value = json!({"exc_type": name, "exc_message": text});
    report("ended", task, json!({"state": "FAILURE", "value": value}));
}

#[celery::task(name = "celeriac.add", bind = true, on_success = succeeded, on_failure = failed)]
pub fn add(task: &Self, x: Value, y: Value) -> TaskResult<Value> {
    started(task, &[&x, &y], &json!({}));
    sum(&x, &y).ok_or_else(|| TaskError::UnexpectedError(format!("{x} and {y} cannot be added")))
}

fn sum(x: &Value, y: &Value) -> Option<Value> {
    if let (Some(x), Some(y)) = (x.as_i64(), y.as_i64()) {
        return x.checked_add(y).map(Value::from);
    }
    match (x, y) {
        (Value::String(x), Value::String(y)) => Some(format!("{x}{y}").into()),
        _ => Some((x.as_f64()? + y.as_f64()?).into()),
    }
}

#[celery::task(name = "celeriac.fail", bind = true, on_success = succeeded, on_failure = failed)]
pub fn fail(task: &Self, message: String) -> TaskResult<Value> {
    started(task, &[&json!(message)], &json!({}));
    Err(TaskError::UnexpectedError(message))
}

#[celery::task(name = "celeriac.sleep", bind = true, on_success = succeeded, on_failure = failed)]
pub async fn sleep(task: &Self, seconds: f64) -> TaskResult<Value> {
    started(task, &[&json!(seconds)], &json!({}));
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    Ok(json!(seconds))
}

#[celery::task(name = "celeriac.retry", bind = true, on_success = succeeded, on_failure = failed)]
pub fn retry(task: &Self, times: u32, countdown: Option<u32>, fail: Option<String>) -> TaskResult<Value> {
    started(task, &[&json!(times)], &json!({"countdown": countdown, "fail": fail}));
    if task.request().retries < times {
        return task.retry_with_countdown(countdown.unwrap_or(0));
    }
    match fail {
        Some(text) => Err(TaskError::UnexpectedError(text)),
        None => Ok(json!(task.request().retries)),
    }
}

#[celery::task(name = "celeriac.child", bind = true, on_success = succeeded, on_failure = failed)]
pub async fn child(task: &Self, x: Value, y: Value) -> TaskResult<Value> {
    started(task, &[&x, &y], &json!({}));
    match task.request().app.send_task(add::new(x, y)).await {
        Ok(result) => Ok(json!(result.task_id)),
        Err(error) => Err(TaskError::UnexpectedError(error.to_string())),
    }
}

#[celery::task(name = "celeriac.context", bind = true, on_success = succeeded, on_failure = failed)]
pub fn context(task: &Self) -> TaskResult<Value> {
    started(task, &[], &json!({}));
    let request = task.request();
    Ok(json!({
        "id": request.id,
        "retries": request.retries,
        "eta": request.eta.map(|eta| eta.to_rfc3339()),
        "expires": request.expires.map(|expires| expires.to_rfc3339()),
        "reply_to": request.reply_to,
        "correlation_id": request.correlation_id,
    }))
}

/// `celeriac.echo`, written by hand because the macro has no task with any arguments.
///
/// It takes all keywords, but has no names for positional arguments, without which rusty-celery does not hand them on.
#[allow(non_camel_case_types)]
#[derive(Clone)]
pub struct echo {
    request: Request<Self>,
    options: TaskOptions,
}

#[async_trait]
impl Task for echo {
    const NAME: &'static str = "celeriac.echo";
    const ARGS: &'static [&'static str] = &[];

    type Params = Map<String, Value>;
    type Returns = Value;

    fn from_request(request: Request<Self>, options: TaskOptions) -> Self {
        Self { request, options }
    }

    fn request(&self) -> &Request<Self> {
        &self.request
    }

    fn options(&self) -> &TaskOptions {
        &self.options
    }

    async fn run(&self, params: Self::Params) -> TaskResult<Value> {
        let keywords = Value::Object(params);
        started(self, &[], &keywords);
        Ok(json!([[], keywords]))
    }

    async fn on_failure(&self, error: &TaskError) {
        failed(self, error).await;
    }

    async fn on_success(&self, returned: &Value) {
        succeeded(self, returned).await;
    }
}
