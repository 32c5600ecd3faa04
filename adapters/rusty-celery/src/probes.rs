//! The probe tasks that can be written for rusty-celery.  Each reports when it starts; hooks report how it ends.

use crate::answers::emit;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use celery::error::TaskError;
use celery::export::async_trait;
use celery::task::{Request, Task, TaskOptions, TaskResult};
use serde_json::{json, Value};

/// The name of the worker that this process is.
pub static WORKER: OnceLock<String> = OnceLock::new();

#[celery::task(name = "celeriac.add", bind = true, on_success = succeeded, on_failure = failed)]
pub async fn add(task: &Self, x: Value, y: Value) -> TaskResult<Value> {
    started(task, json!([x, y]), json!({}));
    match (x.as_i64(), y.as_i64(), x.as_f64(), y.as_f64()) {
        (Some(x), Some(y), ..) => Ok(json!(x.saturating_add(y))),
        (.., Some(x), Some(y)) => Ok(json!(x + y)),
        _ => Err(TaskError::UnexpectedError("only numbers are added".into())),
    }
}

#[celery::task(name = "celeriac.fail", bind = true, on_success = succeeded, on_failure = failed)]
pub async fn fail(task: &Self, message: String) -> TaskResult<Value> {
    started(task, json!([message]), json!({}));
    Err(TaskError::UnexpectedError(message))
}

#[celery::task(name = "celeriac.sleep", bind = true, on_success = succeeded, on_failure = failed)]
pub async fn sleep(task: &Self, seconds: f64) -> TaskResult<Value> {
    started(task, json!([seconds]), json!({}));
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    Ok(json!(seconds))
}

#[celery::task(name = "celeriac.retry", bind = true, on_success = succeeded, on_failure = failed)]
pub async fn retry(task: &Self, times: u32, countdown: Option<u32>, fail: Option<String>) -> TaskResult<Value> {
    started(task, json!([times]), json!({}));
    let retries = task.request().retries;
    if retries < times {
        return task.retry_with_countdown(countdown.unwrap_or(0));
    }
    fail.map_or(Ok(json!(retries)), |message| Err(TaskError::UnexpectedError(message)))
}

/// What the macro cannot write: a task that takes any keyword, and up to eight positional arguments.
#[derive(Clone)]
pub struct Echo(Request<Self>, TaskOptions);

#[async_trait]
impl Task for Echo {
    const NAME: &'static str = "celeriac.echo";
    const ARGS: &'static [&'static str] = &["0", "1", "2", "3", "4", "5", "6", "7"];

    type Params = BTreeMap<String, Value>;
    type Returns = Value;

    fn from_request(request: Request<Self>, options: TaskOptions) -> Self {
        Self(request, options)
    }

    fn request(&self) -> &Request<Self> {
        &self.0
    }

    fn options(&self) -> &TaskOptions {
        &self.1
    }

    async fn run(&self, mut kwargs: Self::Params) -> TaskResult<Value> {
        let received = Self::ARGS.iter().map_while(|name| kwargs.remove(*name));
        let args: Vec<_> = received.collect();
        started(self, json!(args), json!(kwargs));
        Ok(json!([args, kwargs]))
    }

    async fn on_success(&self, value: &Value) {
        succeeded(self, value).await;
    }

    async fn on_failure(&self, error: &TaskError) {
        failed(self, error).await;
    }
}

fn started<T: Task>(task: &T, args: Value, kwargs: Value) {
    report("started", task, json!({ "args": args, "kwargs": kwargs }));
}

async fn succeeded<T: Task<Returns = Value>>(task: &T, value: &Value) {
    report("ended", task, json!({ "state": "SUCCESS", "value": value }));
}

async fn failed<T: Task>(task: &T, error: &TaskError) {
    let (kind, text) = match error {
        TaskError::Retry(_) => return report("retried", task, json!({})),
        TaskError::ExpectedError(text) => ("ExpectedError", text.as_str()),
        TaskError::UnexpectedError(text) => ("UnexpectedError", text.as_str()),
        TaskError::TimeoutError => ("TimeoutError", ""),
    };
    let value = json!({ "exc_type": kind, "exc_message": text });
    report("ended", task, json!({ "state": "FAILURE", "value": value }));
}

fn report<T: Task>(kind: &str, task: &T, mut data: Value) {
    data["worker"] = json!(WORKER.get());
    data["task"] = json!(T::NAME);
    data["task_id"] = json!(task.request().id);
    data["attempt"] = json!(task.request().retries);
    emit(kind, data);
}
