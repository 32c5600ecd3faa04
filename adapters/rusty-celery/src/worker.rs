//! The process of a worker: its first line of input says what to do, and it ends with its input.

use crate::answers::emit;
use crate::app;
use crate::probes::{add, fail, retry, sleep, Echo, WORKER};

use std::sync::Arc;
use std::time::Duration;

use celery::error::CeleryError;
use celery::Celery;
use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Be a worker until it ends by itself.
pub async fn run() {
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let orders = input.next_line().await.ok().flatten().unwrap_or_default();
    let orders: Value = serde_json::from_str(&orders).expect("the driver writes JSON");
    tokio::spawn(async move {
        while let Ok(Some(_)) = input.next_line().await {}
        std::process::exit(1);
    });
    if let Err(error) = consume(&orders["scenario"], &orders["spec"]).await {
        log::error!("the worker ends: {error:?}");
        std::process::exit(1);
    }
    std::process::exit(0); // or the runtime would wait for the thread that reads its input
}

async fn consume(scenario: &Value, spec: &Value) -> Result<(), CeleryError> {
    let name = spec["name"].as_str().unwrap_or_default();
    WORKER.get_or_init(|| name.to_owned());
    let named = spec["queues"].as_array().map_or(&[][..], Vec::as_slice);
    let mut queues: Vec<_> = named.iter().filter_map(Value::as_str).collect();
    let mut settings = scenario["settings"].clone();
    for (name, value) in spec["settings"].as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    let url = spec["broker_url"].as_str().unwrap_or_default();
    let app = Arc::new(app::build(url, scenario, &settings, &queues).await?);
    register(&app).await?;
    if queues.is_empty() {
        queues.push(&app.default_queue);
    }
    tokio::spawn(report_ready(json!({ "worker": name })));
    app.consume_from(&queues).await
}

async fn register(app: &Celery) -> Result<(), CeleryError> {
    app.register_task::<add>().await?;
    app.register_task::<Echo>().await?;
    app.register_task::<fail>().await?;
    app.register_task::<retry>().await?;
    app.register_task::<sleep>().await
}

/// There is no hook for it, but a worker handles SIGTERM as soon as all its queues are consumed.
async fn report_ready(data: Value) {
    while !is_handled(libc::SIGTERM) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    emit("ready", data);
}

fn is_handled(signal: i32) -> bool {
    // SAFETY: the action is only read, into memory of its size of which every pattern is valid.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction != libc::SIG_DFL
    }
}
