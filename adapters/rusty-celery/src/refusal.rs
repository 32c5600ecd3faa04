//! Errors as the harness knows them: those of rusty-celery, and those with which the compiler would refuse a call.

use std::error::Error;

use celery::error::{BrokerError, CeleryError};
use serde_json::Value;

use crate::protocol::{Answer, Raised};

/// Answers what the compiler would say: arguments and options have types, checked before there is a call.
pub fn ill_typed(text: impl Into<String>) -> Answer {
    let (category, effect) = ("bad-argument", "none");
    Answer::Raised(Raised { category, kind: "rustc".into(), text: text.into(), effect, cause: None })
}

/// Answers the error that rusty-celery signalled; its text is that of the whole chain, for the outer one says little.
pub fn raised(error: &CeleryError) -> Answer {
    let chain = chain(error);
    let texts: Vec<_> = chain.iter().map(ToString::to_string).collect();
    let (kind, category) = classified(error);
    Answer::Raised(Raised {
        category,
        kind: format!("celery::error::{kind}"),
        text: texts.join(": "),
        effect: if category == "encode" { "none" } else { "maybe" },
        cause: chain.get(1).map(|cause| debug_name(&format!("{cause:?}"))),
    })
}

/// Answers that rusty-celery had not come back after so many seconds.
pub fn overdue(what: &str, seconds: u64) -> Answer {
    let text = format!("{what} had not come back after {seconds} s");
    Answer::Raised(Raised { category: "timeout", kind: "driver".into(), text, effect: "maybe", cause: None })
}

/// Reads a whole number of the given type, as the compiler would accept it.
pub fn whole<T: TryFrom<u64>>(name: &str, value: &Value) -> Result<T, Answer> {
    let number = value.as_u64().or_else(|| integral(value)).and_then(|number| T::try_from(number).ok());
    let kind = std::any::type_name::<T>();
    number.ok_or_else(|| ill_typed(format!("{name} is {value}, expected {kind}")))
}

/// Answers the whole number that a float of the harness denotes, such as 2.0.
fn integral(value: &Value) -> Option<u64> {
    let float = value.as_f64()?;
    (float.fract() == 0.0).then(|| format!("{float:.0}").parse().ok())?
}

fn classified(error: &CeleryError) -> (&'static str, &'static str) {
    match error {
        CeleryError::ProtocolError(_) => ("CeleryError::ProtocolError", "encode"),
        CeleryError::IoError(_) => ("CeleryError::IoError", "connection"),
        CeleryError::BrokerError(broker) => match broker {
            BrokerError::NotConnected => ("BrokerError::NotConnected", "connection"),
            BrokerError::IoError(_) => ("BrokerError::IoError", "connection"),
            BrokerError::AMQPError(_) => ("BrokerError::AMQPError", "connection"),
            BrokerError::RedisError(_) => ("BrokerError::RedisError", "connection"),
            BrokerError::BadRoutingPattern(_) => ("BrokerError::BadRoutingPattern", "bad-argument"),
            BrokerError::InvalidBrokerUrl(_) => ("BrokerError::InvalidBrokerUrl", "bad-argument"),
            BrokerError::UnknownQueue(_) => ("BrokerError::UnknownQueue", "bad-argument"),
            _ => ("BrokerError", "other"),
        },
        _ => ("CeleryError", "other"),
    }
}

/// Answers an error and what caused it, one after the other.
fn chain(error: &dyn Error) -> Vec<&dyn Error> {
    std::iter::successors(Some(error), |&error| error.source()).collect()
}

/// Answers the name of an error from its debug form, such as `AMQPError` of `AMQPError(IOError(...))`.
fn debug_name(debugged: &str) -> String {
    debugged.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}
