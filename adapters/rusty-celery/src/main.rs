//! Drives rusty-celery: a producer, and workers in processes of their own.

mod answers;
mod app;
mod calls;
#[allow(non_local_definitions)] // of the macro
mod probes;
mod worker;
mod workers;

use crate::answers::{ok, raised, reply, unsupported, Answer};
use crate::workers::Workers;

use std::sync::Arc;
use std::time::Duration;

use celery::Celery;
use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt, BufReader};

/// How long an app may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() {
    env_logger::Builder::new().filter_level(log::LevelFilter::Info).init();
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return worker::run().await;
    }
    let mut driver = Driver::default();
    let mut requests = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = requests.next_line().await {
        let request: Value = serde_json::from_str(&line).unwrap_or_default();
        let answer = driver.perform(&request["op"], &request["body"]).await;
        reply(&request["id"], answer);
    }
    driver.workers.close().await;
}

#[derive(Default)]
struct Driver {
    scenario: Value,
    app: Option<Arc<Celery>>,
    workers: Workers,
}

impl Driver {
    async fn perform(&mut self, op: &Value, body: &Value) -> Answer {
        match op.as_str().unwrap_or_default() {
            "hello" => ok(json!({
                "protocol": 1,
                "implementation": "rusty-celery",
                "version": app::version(),
                "missing": {},
            })),
            "begin" => self.begin(body),
            "end" => self.end().await,
            "call" => self.call(body).await,
            "start_worker" => self.start_worker(body).await,
            "stop_worker" => self.workers.stop(body).await,
            "compose" => unsupported(body["kind"].clone(), "there is no canvas"),
            "call_together" => unsupported("publisher", "an app has a connection of its own"),
            "get_result" | "state" => unsupported("result-consumer", "there are no results"),
            _ => Err(json!({ "broken": { "detail": format!("no such operation: {op}") } })),
        }
    }

    fn begin(&mut self, scenario: &Value) -> Answer {
        app::check(&scenario["settings"])?;
        match scenario["task_attributes"].as_object() {
            Some(attributes) if !attributes.is_empty() => {
                unsupported("task_attributes", "the attributes of a task are constants of its type")
            }
            _ => {
                self.scenario = scenario.clone();
                ok(Value::Null)
            }
        }
    }

    async fn end(&mut self) -> Answer {
        self.workers.close().await;
        if let Some(app) = self.app.take() {
            let _ = tokio::time::timeout(GOODBYE, app.close()).await;
        }
        ok(Value::Null)
    }

    async fn call(&mut self, body: &Value) -> Answer {
        let call = calls::Call::read(body)?;
        if self.app.is_none() {
            let url = self.scenario["broker_url"].as_str().unwrap_or_default();
            match app::build(url, &self.scenario, &self.scenario["settings"], &[]).await {
                Ok(app) => self.app = Some(Arc::new(app)),
                Err(error) => return raised(&error, "none"),
            }
        }
        let app = self.app.as_ref().expect("it has just been built");
        match call.send(app).await? {
            Ok(sent) => ok(json!({ "task_id": sent.task_id })),
            Err(error) => raised(&error, "maybe"),
        }
    }

    async fn start_worker(&mut self, spec: &Value) -> Answer {
        app::check(&spec["settings"])?;
        self.workers.start(&self.scenario, spec).await
    }
}
