//! A dead-letter queue being gone through, oldest first. What is not removed goes back in its order; what is judged how is not its business.
//!
//! A quorum queue keeps no place for what comes back: it goes behind whatever came back before it. So all letters are held until the end,
//! those too that nobody wants to see, and then given back in their order. By consumers, one after the other, each on a channel of its own:
//! what a channel had by `basic.get` goes back by the text of its delivery tags, the tenth before the second, and what a consumer had in its
//! order (seen on RabbitMQ 3.10).

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{Acker, Channel, Connection, Consumer};
use tokio::time::{Instant, interval, sleep, timeout};

use super::connection::open_channel;
use super::inspect::{count, headers_of, is_locked, ready};
use crate::broker::DeadLetter;

/// How many letters one consumer holds: what was sent and not looked at yet is in memory. There may be 2047 channels.
const WINDOW: u16 = 256;
/// How long another one's look is waited for, and how often that is asked: each time, the broker writes that down as an error.
const TURN_WITHIN: Duration = Duration::from_secs(20);
const TRY_AGAIN: Duration = Duration::from_millis(250);
/// How long a letter that was in the queue a moment ago may take to come. Another one who looks meanwhile may hold it.
const COMES_WITHIN: Duration = Duration::from_secs(2);
/// How long what was looked at may take to be back in its queue, and how often that is asked: the broker does not tell.
const BACK_WITHIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The letters that were there when it was opened.
pub(super) struct DeadQueue<'a> {
    connection: &'a Connection,
    name: &'a str,
    /// With the mark of whose turn it is.
    turn: Channel,
    /// How many of them are ready still, or held here.
    there: u64,
    /// How many of them are yet to come.
    to_come: u64,
    windows: Vec<Window>,
}

/// A channel with a consumer, and how many letters it holds.
struct Window {
    channel: Channel,
    consumer: Consumer,
    held: u16,
}

impl<'a> DeadQueue<'a> {
    /// Waits while another process goes through it, which may hold any of them; an error when that takes long.
    pub(super) async fn open(connection: &'a Connection, name: &'a str) -> lapin::Result<Self> {
        // Before it is waited for: a queue that is not there is nobody's.
        ready(connection, name).await?;
        let turn = turn(connection, name).await?;
        let there = ready(connection, name).await?;
        Ok(Self {
            connection,
            name,
            turn,
            there,
            to_come: there,
            windows: Vec::new(),
        })
    }

    /// The next letter, and the right to remove it.
    pub(super) async fn next(&mut self) -> lapin::Result<Option<(DeadLetter, Acker)>> {
        if self.to_come == 0 {
            return Ok(None);
        }
        let Some(delivery) = self.window().await?.next().await? else {
            return Ok(None);
        };
        self.to_come -= 1;
        let letter = DeadLetter {
            headers: headers_of(&delivery.properties),
            body: delivery.data,
        };
        Ok(Some((letter, delivery.acker)))
    }

    /// One that may hold another letter.
    async fn window(&mut self) -> lapin::Result<&mut Window> {
        if self.windows.last().is_none_or(|last| last.held >= WINDOW) {
            let window = Window::open(self.connection, self.name).await?;
            self.windows.push(window);
        }
        let last = self.windows.last_mut();
        last.ok_or_else(|| gone("no consumer is there").into())
    }

    /// Removes the letter that was looked at last for good.
    pub(super) async fn remove(&mut self, acker: &Acker) -> lapin::Result<()> {
        if !acker.ack(BasicAckOptions::default()).await? {
            return Err(gone("the channel is gone, and the letter back in its queue").into());
        }
        self.there = self.there.saturating_sub(1);
        if let Some(window) = self.windows.last_mut() {
            window.held = window.held.saturating_sub(1);
        }
        Ok(())
    }

    /// Ends the look, when all have come: the older ones are back before the younger ones go. What was held is in its queue a moment
    /// after a channel has closed: that is waited for, so that whoever looks next sees it, though not for long.
    pub(super) async fn close(mut self) -> lapin::Result<()> {
        if let Some(last) = self.windows.last_mut() {
            last.end().await?;
        }
        let windows = self.windows.iter();
        let mut held: u64 = windows.map(|window| u64::from(window.held)).sum();
        for window in &self.windows {
            window.channel.close(200, "looked".into()).await?;
            held = held.saturating_sub(window.held.into());
            self.back(self.there.saturating_sub(held)).await?;
        }
        let (mark, options) = (mark(self.name), QueueDeleteOptions::default());
        self.turn.queue_delete(mark.into(), options).await?;
        self.turn.close(200, "looked".into()).await
    }

    /// Waits until so many are ready.
    async fn back(&self, expected: u64) -> lapin::Result<()> {
        let back = async {
            let mut looks = interval(LOOK_AGAIN);
            loop {
                looks.tick().await;
                let ready = count(self.connection, self.name).await?;
                if ready.unwrap_or_default() >= expected {
                    return Ok(());
                }
            }
        };
        timeout(BACK_WITHIN, back).await.unwrap_or(Ok(()))
    }
}

/// The channel on which the mark was made: a queue that only this connection may use, so that it goes with the process.
async fn turn(connection: &Connection, name: &str) -> lapin::Result<Channel> {
    let patience = Instant::now() + TURN_WITHIN;
    loop {
        let channel = open_channel(connection).await?;
        let options = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        let (mark, none) = (mark(name).into(), FieldTable::default());
        match channel.queue_declare(mark, options, none).await {
            // The broker has closed the channel by that.
            Err(error) if is_locked(&error) && Instant::now() < patience => sleep(TRY_AGAIN).await,
            Err(error) => return Err(error),
            Ok(_) => return Ok(channel),
        }
    }
}

fn mark(name: &str) -> String {
    format!("{name}.look")
}

impl Window {
    async fn open(connection: &Connection, name: &str) -> lapin::Result<Self> {
        let channel = open_channel(connection).await?;
        let options = BasicQosOptions::default();
        channel.basic_qos(WINDOW, options).await?;
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer = channel
            .basic_consume(name.into(), "".into(), options, none)
            .await?;
        Ok(Self {
            channel,
            consumer,
            held: 0,
        })
    }

    async fn next(&mut self) -> lapin::Result<Option<Delivery>> {
        match timeout(COMES_WITHIN, self.consumer.next()).await {
            Err(_) => Ok(None),
            Ok(None) => Err(gone("the broker has ended the look").into()),
            Ok(Some(delivery)) => {
                self.held += 1;
                delivery.map(Some)
            }
        }
    }

    /// Takes no more, and counts what has come meanwhile.
    async fn end(&mut self) -> lapin::Result<()> {
        let (tag, options) = (self.consumer.tag(), BasicCancelOptions::default());
        self.channel.basic_cancel(tag, options).await?;
        while let Some(delivery) = self.consumer.next().await {
            delivery?;
            self.held += 1;
        }
        Ok(())
    }
}

fn gone(what: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::BrokenPipe, what)
}
