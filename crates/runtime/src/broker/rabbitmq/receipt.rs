//! The right to settle one delivery, on the channel that it came on. Decides nothing: the channel's ack window does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::message::Delivery as Arrived;
use lapin::protocol::BasicProperties;

use super::acks::Acks;
use super::headers;
use super::hold::hold;
use crate::broker::{Delivery, Lost, Receipt};
use crate::queue::Level;

/// A delivery with the channel's own way to settle it.
pub(super) struct Incoming {
    pub(super) arrived: Arrived,
    pub(super) acks: Arc<Acks>,
}

impl Incoming {
    /// False when the broker has taken it back already, and delivers it again.
    pub(super) fn usable(&self) -> bool {
        self.arrived.acker.usable()
    }

    /// How long it waits here for a slot.
    pub(super) fn hold(&self) -> Duration {
        let headers = self.arrived.properties.headers().as_ref();
        hold(headers, self.arrived.redelivered)
    }

    pub(super) fn delivery(self, level: Level) -> Delivery {
        let redelivered = self.arrived.redelivered;
        let (body, properties, receipt) = self.take_apart();
        let headers = Box::new(headers::Table(properties));
        Delivery::new(body, headers, level, redelivered, Box::new(receipt))
    }

    /// The receipt alone. Dropped, it hands the message back.
    pub(super) fn receipt(self) -> RabbitReceipt {
        self.take_apart().2
    }

    fn take_apart(self) -> (Vec<u8>, BasicProperties, RabbitReceipt) {
        let receipt = RabbitReceipt {
            tag: Some(self.arrived.delivery_tag),
            acker: self.arrived.acker,
            acks: self.acks,
        };
        (self.arrived.data, self.arrived.properties, receipt)
    }
}

/// Dropped unsettled, as by a panic, it hands the message back: a message that nobody settles would take up a place of the
/// window until the channel closes.
pub(super) struct RabbitReceipt {
    /// None once it is settled.
    tag: Option<u64>,
    // Only asked whether the channel lives.
    acker: lapin::Acker,
    acks: Arc<Acks>,
}

impl RabbitReceipt {
    fn take(&mut self) -> Result<u64, Lost> {
        let tag = self.tag.take().ok_or(Lost)?;
        if self.acker.usable() {
            Ok(tag)
        } else {
            Err(Lost)
        }
    }
}

#[async_trait]
impl Receipt for RabbitReceipt {
    async fn ack(mut self: Box<Self>) -> Result<(), Lost> {
        let tag = self.take()?;
        self.acks.ack(tag).await
    }

    async fn hand_back(mut self: Box<Self>) -> Result<(), Lost> {
        let tag = self.take()?;
        self.acks.hand_back(tag).await
    }

    fn is_lost(&self) -> bool {
        !self.acker.usable()
    }
}

impl Drop for RabbitReceipt {
    fn drop(&mut self) {
        if let Ok(tag) = self.take() {
            // Lost means that it is on its way back anyway.
            let _ = self.acks.hand_back_soon(tag);
        }
    }
}
