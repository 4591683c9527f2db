//! Placeholder while the RabbitMQ broker is being written.
