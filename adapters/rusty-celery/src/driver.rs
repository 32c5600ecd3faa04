//! The adapter: an application of rusty-celery for each scenario, and its workers.

use std::io::BufReader;
use std::time::Duration;

use celery::Celery;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::builder::builder;
use crate::calling::Call;
use crate::protocol::{Answer, Body, PROTOCOL, Request, answer, read_request, text};
use crate::refusal::{overdue, raised};
use crate::workers::Workers;

/// Seconds after which a call, or the start of an application, is given up; the claim allows a little more.
const PATIENCE: u64 = 28;

/// Seconds for saying goodbye to a broker.
const GOODBYE: u64 = 1;

/// Serves requests until standard input ends.
pub fn serve() {
    let runtime = Runtime::new().expect("a runtime of tokio can be made");
    let mut driver = Driver { runtime, app: None, workers: Workers::default() };
    let mut input = BufReader::new(std::io::stdin());
    loop {
        match read_request(&mut input) {
            Ok(Some(request)) => answer(&request.id, &driver.perform(&request)),
            Ok(None) => break,
            Err(detail) => answer(&Value::Null, &Answer::Broken(detail)),
        }
    }
    driver.end();
}

struct Driver {
    runtime: Runtime,
    app: Option<Celery>,
    workers: Workers,
}

impl Driver {
    fn perform(&mut self, request: &Request) -> Answer {
        let body = &request.body;
        match request.op.as_str() {
            "hello" => hello(body),
            "begin" => self.begin(body),
            "end" => self.end(),
            "call" => self.call(body),
            "start_worker" => self.start_worker(body),
            "stop_worker" => self.workers.stop(body),
            "compose" => Answer::unsupported(text(body, "kind").unwrap_or("compose"), "there are no compositions"),
            "call_together" => Answer::unsupported("publisher", "a call cannot choose its connection"),
            "get_result" | "state" => Answer::unsupported("result-consumer", "there is no result back end"),
            other => Answer::unsupported(other, "this adapter knows no such operation"),
        }
    }

    /// Builds the application, which connects at once, as a program that uses rusty-celery does when it starts.
    fn begin(&mut self, body: &Body) -> Answer {
        let attributes = body.get("task_attributes").and_then(Value::as_object);
        if attributes.is_some_and(|attributes| !attributes.is_empty()) {
            return Answer::unsupported("task_attributes", "options of a task are fixed when it is compiled");
        }
        let (Some(url), Some(queue)) = (text(body, "broker_url"), text(body, "queue")) else {
            return Answer::Broken("a scenario has a broker_url and a queue".into());
        };
        let builder = match builder(url, queue, &settings(body)) {
            Ok(builder) => builder,
            Err(answer) => return answer,
        };
        self.workers.begin(body.clone());
        let build = async { timeout(Duration::from_secs(PATIENCE), builder.build()).await };
        match self.runtime.block_on(build) {
            Ok(Ok(app)) => self.app = Some(app),
            Ok(Err(error)) => return raised(&error),
            Err(_) => return overdue("CeleryBuilder::build", PATIENCE),
        }
        Answer::Ok(Value::Null)
    }

    fn call(&self, body: &Body) -> Answer {
        let Some(app) = &self.app else {
            return Answer::Broken("a call before a scenario has begun".into());
        };
        let call = match Call::read(body) {
            Ok(call) => call,
            Err(answer) => return answer,
        };
        let send = async { timeout(Duration::from_secs(PATIENCE), call.send(app)).await };
        self.runtime.block_on(send).unwrap_or_else(|_| overdue("Celery::send_task", PATIENCE))
    }

    fn start_worker(&mut self, spec: &Body) -> Answer {
        let url = text(spec, "broker_url").unwrap_or_default();
        match builder(url, "", &settings(spec)) {
            Ok(_) => self.workers.start(spec),
            Err(answer) => answer,
        }
    }

    fn end(&mut self) -> Answer {
        self.workers.end();
        if let Some(app) = self.app.take() {
            let close = async { timeout(Duration::from_secs(GOODBYE), app.close()).await };
            let _ = self.runtime.block_on(close); // a broker that is gone needs no goodbye
        }
        Answer::Ok(Value::Null)
    }
}

/// Says what is driven; a harness that speaks another version of the protocol is told which one is spoken here.
fn hello(body: &Body) -> Answer {
    match body.get("protocol").unwrap_or(&Value::from(PROTOCOL)) {
        asked if asked == PROTOCOL => Answer::Ok(json!({
            "protocol": PROTOCOL,
            "implementation": "rusty-celery",
            "version": version(),
            "missing": {},
        })),
        asked => Answer::Broken(format!("protocol {asked} is asked for; this driver speaks {PROTOCOL}")),
    }
}

/// Answers the version of the crate, which is exact in Cargo.toml.
fn version() -> &'static str {
    let pinned = include_str!("../Cargo.toml").split_once("celery = { version = \"=");
    pinned.and_then(|(_, rest)| rest.split('"').next()).expect("Cargo.toml pins celery")
}

/// Answers the settings of a scenario or of a worker.
fn settings(body: &Body) -> Map<String, Value> {
    body.get("settings").and_then(Value::as_object).cloned().unwrap_or_default()
}
