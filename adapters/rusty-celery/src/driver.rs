//! The adapter: an application of rusty-celery for each scenario, and its workers.

use std::io::BufReader;
use std::time::Duration;

use celery::Celery;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::builder::builder;
use crate::calling::Call;
use crate::protocol::{Answer, Request, answer, read_request, text};
use crate::refusal::{overdue, raised};
use crate::workers::Workers;

/// The version of the crate that Cargo.toml asks for.
const VERSION: &str = "0.5.5";

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
            "hello" => Answer::Ok(json!({
                "protocol": 1,
                "implementation": "rusty-celery",
                "version": VERSION,
                "missing": {},
            })),
            "begin" => self.begin(body),
            "end" => self.end(),
            "call" => self.call(body),
            "start_worker" => self.workers.start(body),
            "stop_worker" => self.workers.stop(body),
            "compose" => Answer::unsupported(text(body, "kind").unwrap_or("compose"), "there are no compositions"),
            "call_together" => Answer::unsupported("publisher", "a call cannot choose its connection"),
            "get_result" | "state" => Answer::unsupported("result-consumer", "there is no result back end"),
            other => Answer::unsupported(other, "this adapter knows no such operation"),
        }
    }

    /// Builds the application, which connects at once, as a program that uses rusty-celery does when it starts.
    fn begin(&mut self, body: &Map<String, Value>) -> Answer {
        let attributes = body.get("task_attributes").and_then(Value::as_object);
        if attributes.is_some_and(|attributes| !attributes.is_empty()) {
            return Answer::unsupported("task_attributes", "options of a task are fixed when it is compiled");
        }
        let (Some(url), Some(queue)) = (text(body, "broker_url"), text(body, "queue")) else {
            return Answer::Broken("a scenario has a broker_url and a queue".into());
        };
        let none = Map::new();
        let settings = body.get("settings").and_then(Value::as_object).unwrap_or(&none);
        let builder = match builder(url, queue, settings) {
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

    fn call(&self, body: &Map<String, Value>) -> Answer {
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

    fn end(&mut self) -> Answer {
        self.workers.end();
        if let Some(app) = self.app.take() {
            let close = async { timeout(Duration::from_secs(GOODBYE), app.close()).await };
            let _ = self.runtime.block_on(close); // a broker that is gone needs no goodbye
        }
        Answer::Ok(Value::Null)
    }
}
