//! Media as people upload them: each kind is rendered, listened to and edited, or refused for good with one sentence that says why.
//! The handlers themselves run, without a broker; what ffmpeg makes of the files is real.

mod again;
mod chain;
mod kinds;
mod looks;
mod odd;
mod resumed;
mod shop;
mod stages;
mod unfit;
