//! Clients of what we do not own, one module per service.
//!
//! It deliberately holds no shared client trait: the services have nothing in common but the span
//! every call runs in.

pub mod ffmpeg;
pub mod http;
pub mod openai;
pub mod smtp;
pub mod storage;
pub mod ytdlp;
