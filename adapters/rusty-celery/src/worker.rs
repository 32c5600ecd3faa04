//! The inside of a worker process: the program of whoever uses rusty-celery, with the probe tasks.

use std::io::{BufReader, Read, stdin};
use std::process::exit;
use std::sync::Arc;
use std::thread;

use celery::error::CeleryError;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::builder::builder;
use crate::probes::register;
use crate::protocol::{Answer, Body, plain, read_request, text};
use crate::ready::Watched;

/// Reads `begin` and `start_worker` from standard input and consumes until the process is told to stop.
///
/// It ends with 1 when rusty-celery gives up, and with 2 when its orders cannot be followed.
pub fn run() {
    let (scenario, spec) = orders().unwrap_or_else(|reason| quit(&reason, 2));
    let runtime = Runtime::new().expect("a runtime of tokio can be made");
    runtime.block_on(consume(&scenario, &spec)).unwrap_or_else(|reason| quit(&reason, 1));
}

fn quit(reason: &str, code: i32) -> ! {
    eprintln!("{reason}");
    exit(code)
}

/// Answers the scenario and the worker's own description; from then on the process ends with its standard input.
fn orders() -> Result<(Body, Body), String> {
    let mut input = BufReader::new(stdin());
    let mut next = || read_request(&mut input)?.ok_or("the orders are incomplete".to_string());
    let (scenario, spec) = (next()?.body, next()?.body);
    thread::spawn(move || {
        let _ = input.read_to_end(&mut Vec::new());
        exit(0)
    });
    Ok((scenario, spec))
}

/// Consumes the queues of the worker; the first of them is the default queue of its application.
async fn consume(scenario: &Body, spec: &Body) -> Result<(), String> {
    let own = [scenario, spec].map(|body| body.get("settings").and_then(Value::as_object));
    let settings = own.into_iter().flatten().flat_map(Map::clone).collect();
    let named = plain(&spec["queues"])?;
    let queues: Vec<_> = named.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let default = queues.first().copied().or_else(|| text(scenario, "queue")).unwrap_or_default();
    let url = text(spec, "broker_url").unwrap_or_default();
    let name = text(spec, "name").unwrap_or_default();
    let told = |error: CeleryError| format!("{error:?}");

    let builder = builder(url, default, &settings).map_err(refused)?;
    let mut app = builder.hostname(&format!("{name}@celeriac")).build().await.map_err(told)?;
    app.broker = Box::new(Watched::new(app.broker, name, queues.len().max(1)));
    register(&app, name).await.map_err(told)?;
    let app = Arc::new(app);
    let consumed = if queues.is_empty() { app.consume().await } else { app.consume_from(&queues).await };
    consumed.map_err(told)?;
    app.close().await.map_err(told)
}

fn refused(answer: Answer) -> String {
    match answer {
        Answer::Unsupported { reason, .. } => reason,
        Answer::Raised(raised) => raised.text,
        Answer::Broken(detail) => detail,
        Answer::Ok(_) => "the settings cannot be read".into(),
    }
}
