//! Workers in processes of their own, so that the death of one is judged and is not the end of the driver.

use crate::answers::{emit, failed, ok, unsupported, Answer};

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

/// How long a worker may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// How far a worker is.
#[derive(Clone, Copy)]
enum Progress {
    Starting,
    Ready,
    Ended(i32),
}

/// The workers of a scenario by their names.
#[derive(Default)]
pub struct Workers(HashMap<String, Worker>);

struct Worker {
    pid: i32,
    progress: watch::Receiver<Progress>,
    _input: ChildStdin, // the process ends when it is closed
}

impl Workers {
    /// Start a worker; answer once it consumes, or has ended before.
    pub async fn start(&mut self, scenario: &Value, spec: &Value) -> Answer {
        let name = spec["name"].as_str().unwrap_or_default().to_owned();
        let orders = json!({ "scenario": scenario, "spec": spec });
        let mut worker = match Worker::spawn(name.clone(), &orders).await {
            Ok(worker) => worker,
            Err(error) => return Err(json!({ "broken": { "detail": error.to_string() } })),
        };
        let answer = worker.started().await;
        self.0.insert(name, worker);
        answer
    }

    /// Stop a worker and answer its exit code, negative for a signal.
    pub async fn stop(&mut self, body: &Value) -> Answer {
        let name = body["name"].as_str().unwrap_or_default();
        let signal = match body["how"].as_str() {
            Some("kill") => libc::SIGKILL,
            Some("cold") => libc::SIGQUIT,
            _ => libc::SIGTERM,
        };
        match self.0.get_mut(name) {
            Some(worker) => worker.stop(signal).await,
            None => unsupported("worker", "no worker has this name"),
        }
    }

    /// Kill all of them.
    pub async fn close(&mut self) {
        for (_, mut worker) in self.0.drain() {
            let _ = worker.stop(libc::SIGKILL).await;
        }
    }
}

impl Worker {
    async fn spawn(name: String, orders: &Value) -> std::io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pid = process.id().unwrap_or_default() as i32;
        let mut input = process.stdin.take().expect("it is piped");
        let (tell, progress) = watch::channel(Progress::Starting);
        tokio::spawn(relay(name, process, tell));
        input.write_all(format!("{orders}\n").as_bytes()).await?;
        Ok(Self { pid, progress, _input: input })
    }

    async fn started(&mut self) -> Answer {
        match self.reach(|now| !matches!(now, Progress::Starting)).await {
            Some(Progress::Ready) => return ok(Value::Null),
            Some(Progress::Ended(code)) => {
                let text = format!("the worker ended with exit code {code} before it consumed");
                return failed("other", &text, "none");
            }
            _ => {}
        }
        let _ = self.stop(libc::SIGKILL).await;
        failed("timeout", "the worker was not ready in time", "none")
    }

    async fn stop(&mut self, signal: i32) -> Answer {
        if let Some(code) = self.end_after(signal).await {
            return ok(json!({ "exit_code": code }));
        }
        self.end_after(libc::SIGKILL).await;
        failed("timeout", "the worker was still running", "done")
    }

    async fn end_after(&mut self, signal: i32) -> Option<i32> {
        if !matches!(*self.progress.borrow(), Progress::Ended(_)) {
            // SAFETY: a call without memory; the process has not been waited for.
            unsafe { libc::kill(self.pid, signal) };
        }
        match self.reach(|now| matches!(now, Progress::Ended(_))).await {
            Some(Progress::Ended(code)) => Some(code),
            _ => None,
        }
    }

    async fn reach(&mut self, is_there: impl FnMut(&Progress) -> bool) -> Option<Progress> {
        let reached = self.progress.wait_for(is_there);
        let in_time = tokio::time::timeout(PATIENCE, reached).await.ok()?;
        in_time.ok().map(|progress| *progress)
    }
}

/// Pass on the events of a worker, then tell of its end.
async fn relay(name: String, mut process: Child, tell: watch::Sender<Progress>) {
    let output = process.stdout.take().expect("it is piped");
    let mut events = BufReader::new(output).lines();
    while let Ok(Some(line)) = events.next_line().await {
        println!("{line}");
        if line.contains(r#""ev":"ready""#) {
            tell.send_replace(Progress::Ready);
        }
    }
    let code = process.wait().await.map_or(-1, exit_code);
    emit("stopped", json!({ "worker": name, "exit_code": code }));
    tell.send_replace(Progress::Ended(code));
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(1))
}
