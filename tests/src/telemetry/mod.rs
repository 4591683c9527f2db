//! The telemetry crate as others use it: its macros, what a future leaves on its span, and a whole process's output.

mod process;
mod spans;
mod traced;
