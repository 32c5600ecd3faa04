//! The workers of a scenario, each a child process; what they report is passed on as it is.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::protocol::{Answer, Body, Raised, event, text, write_line};

/// Time that a worker has to consume.
const START: Duration = Duration::from_secs(20);

/// Time that a worker has to stop before it is killed.
const STOP: Duration = Duration::from_secs(15);

/// What is heard of a worker: that it consumes, or its exit code and what it has written to standard error.
enum News {
    Ready,
    Ended(Option<i32>, String),
}

struct Worker {
    pid: Pid,
    news: Receiver<News>,
    _orders: ChildStdin, // the worker ends when this is closed
}

/// The workers of the present scenario, by name.
#[derive(Default)]
pub struct Workers {
    scenario: Body,
    running: BTreeMap<String, Worker>,
}

impl Workers {
    /// Remembers the scenario that workers belong to.
    pub fn begin(&mut self, scenario: Body) {
        self.scenario = scenario;
    }

    /// Kills all workers.
    pub fn end(&mut self) {
        while let Some((_, worker)) = self.running.pop_first() {
            worker.signal(Signal::SIGKILL);
            worker.await_end();
        }
    }

    /// Starts the worker that the body of a request describes, and answers once it consumes.
    pub fn start(&mut self, spec: &Body) -> Answer {
        let name = text(spec, "name").unwrap_or_default();
        let worker = match self.spawn(spec, name) {
            Ok(worker) => worker,
            Err(error) => return Answer::Broken(format!("a worker cannot be started: {error}")),
        };
        let answer = match worker.news.recv_timeout(START) {
            Ok(News::Ready) => Answer::Ok(Value::Null),
            Ok(News::Ended(_, reason)) => raised("other", reason, "none"),
            Err(_) => raised("timeout", format!("it does not consume after {START:?}"), "none"),
        };
        self.running.insert(name.into(), worker);
        answer
    }

    /// Stops a worker: `warm` as an operating system does, `cold` by a signal that rusty-celery does not handle.
    pub fn stop(&mut self, body: &Body) -> Answer {
        let name = text(body, "name").unwrap_or_default();
        let Some(worker) = self.running.remove(name) else {
            return Answer::Broken(format!("there is no worker {name:?}"));
        };
        worker.signal(match text(body, "how") {
            Some("kill") => Signal::SIGKILL,
            Some("cold") => Signal::SIGQUIT,
            _ => Signal::SIGTERM,
        });
        if let Some(code) = worker.await_end() {
            return Answer::Ok(json!({"exit_code": code}));
        }
        worker.signal(Signal::SIGKILL);
        worker.await_end();
        raised("timeout", format!("it still runs {STOP:?} after it was asked to stop"), "done")
    }

    fn spawn(&self, spec: &Body, name: &str) -> std::io::Result<Worker> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(std::io::Error::other)?);
        let mut orders = child.stdin.take().expect("standard input is a pipe");
        let begin = json!({"id": 1, "op": "begin", "body": self.scenario});
        let start = json!({"id": 2, "op": "start_worker", "body": spec});
        orders.write_all(format!("{begin}\n{start}\n").as_bytes())?;
        Ok(Worker { pid, news: listen(child, name.into()), _orders: orders })
    }
}

impl Worker {
    fn signal(&self, signal: Signal) {
        let _ = kill(self.pid, signal); // it may have ended meanwhile
    }

    /// Answers the exit code once the worker has ended, `None` when it has not in time.
    fn await_end(&self) -> Option<Value> {
        loop {
            match self.news.recv_timeout(STOP) {
                Ok(News::Ready) => {}
                Ok(News::Ended(code, _)) => return Some(json!(code)),
                Err(RecvTimeoutError::Disconnected) => return Some(Value::Null), // its end was heard before
                Err(RecvTimeoutError::Timeout) => return None,
            }
        }
    }
}

/// Passes the events of a worker on, then reports its end, on a thread of its own.
fn listen(mut child: Child, name: String) -> Receiver<News> {
    let (sender, news) = channel();
    let output = child.stdout.take().expect("standard output is a pipe");
    let mut errors = child.stderr.take().expect("standard error is a pipe");
    let log = thread::spawn(move || {
        let mut written = Vec::new();
        let _ = errors.read_to_end(&mut written);
        String::from_utf8_lossy(&written).trim().to_string()
    });
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            write_line(&line);
            if line.starts_with(r#"{"ev":"ready""#) {
                let _ = sender.send(News::Ready);
            }
        }
        let log = log.join().unwrap_or_default();
        let code = child.wait().ok().and_then(exit_code);
        event("stopped", &json!({"worker": name, "exit_code": code, "log": log}));
        let _ = sender.send(News::Ended(code, log));
    });
    news
}

/// Answers the code of a process, negative for a signal.
fn exit_code(status: ExitStatus) -> Option<i32> {
    status.code().or_else(|| status.signal().map(|signal| -signal))
}

fn raised(category: &'static str, text: String, effect: &'static str) -> Answer {
    Answer::Raised(Raised { category, kind: "worker".into(), text, effect, cause: None })
}
