//! Says when a worker consumes, which rusty-celery tells nobody: a broker that passes everything on to the real one.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use celery::broker::{Broker, Delivery, DeliveryStream};
use celery::error::BrokerError;
use celery::protocol::Message;
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::protocol::event;

/// A broker that reports `ready` when the last of the worker's consumers has been started for the first time.
pub struct Watched {
    inner: Box<dyn Broker>,
    worker: String,
    missing: AtomicUsize,
}

impl Watched {
    /// Watches the broker of a worker that consumes so many queues.
    pub fn new(inner: Box<dyn Broker>, worker: &str, queues: usize) -> Self {
        Self { inner, worker: worker.into(), missing: AtomicUsize::new(queues) }
    }
}

#[async_trait]
impl Broker for Watched {
    async fn consume(
        &self,
        queue: &str,
        error_handler: Box<dyn Fn(BrokerError) + Send + Sync + 'static>,
    ) -> Result<(String, Box<dyn DeliveryStream>), BrokerError> {
        let started = self.inner.consume(queue, error_handler).await?;
        if self.missing.fetch_sub(1, Ordering::SeqCst) == 1 {
            event("ready", &json!({"worker": self.worker}));
        }
        Ok(started)
    }

    fn safe_url(&self) -> String {
        self.inner.safe_url()
    }

    async fn cancel(&self, consumer_tag: &str) -> Result<(), BrokerError> {
        self.inner.cancel(consumer_tag).await
    }

    async fn ack(&self, delivery: &dyn Delivery) -> Result<(), BrokerError> {
        self.inner.ack(delivery).await
    }

    async fn retry(&self, delivery: &dyn Delivery, eta: Option<DateTime<Utc>>) -> Result<(), BrokerError> {
        self.inner.retry(delivery, eta).await
    }

    async fn send(&self, message: &Message, queue: &str) -> Result<(), BrokerError> {
        self.inner.send(message, queue).await
    }

    async fn increase_prefetch_count(&self) -> Result<(), BrokerError> {
        self.inner.increase_prefetch_count().await
    }

    async fn decrease_prefetch_count(&self) -> Result<(), BrokerError> {
        self.inner.decrease_prefetch_count().await
    }

    async fn close(&self) -> Result<(), BrokerError> {
        self.inner.close().await
    }

    async fn reconnect(&self, connection_timeout: u32) -> Result<(), BrokerError> {
        self.inner.reconnect(connection_timeout).await
    }
}
