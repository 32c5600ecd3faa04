//! Drives rusty-celery for Celeriac: the producer in this process, each worker in a child of its own.
//!
//! Without arguments the program serves the adapter protocol, one JSON object per line, on standard input and output.
//! With the argument `worker` it is a worker: two requests on standard input say which, events go to standard output.

mod builder;
mod calling;
mod driver;
mod probes;
mod protocol;
mod ready;
mod refusal;
mod worker;
mod workers;

fn main() {
    match std::env::args().nth(1).as_deref() {
        None => driver::serve(),
        Some("worker") => worker::run(),
        Some(other) => {
            eprintln!("unknown argument {other:?}; there is only: worker");
            std::process::exit(2);
        }
    }
}
