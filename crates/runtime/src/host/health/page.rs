//! What the health port answers: from a method and a path to a response. It reads what the process noted about itself, and
//! does no I/O.

use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use sapari_telemetry::Scraper;
use serde_json::json;

use crate::vitals::{Verdict, Vitals};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// What the pages are made from.
pub(crate) struct Pages {
    pub(crate) vitals: Vitals,
    pub(crate) scraper: Scraper,
}

impl Pages {
    pub(super) fn answer(&self, method: &Method, path: &str) -> Response<String> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refusal = refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            refusal.headers_mut().insert(ALLOW, allowed);
            return refusal;
        }
        match path {
            "/livez" => told("live", &self.vitals.look().live()),
            "/readyz" => self.ready(),
            "/metrics" => self.metrics(),
            _ => refusal(
                StatusCode::NOT_FOUND,
                "there are /livez, /readyz and /metrics\n",
            ),
        }
    }

    fn ready(&self) -> Response<String> {
        let seen = self.vitals.look();
        let mut page = told("ready", &seen.ready());
        // Of several schedulers, which one leads is what people ask.
        if let Some(scheduler) = &seen.scheduler {
            let body = page.body_mut();
            let end = body.trim_end().len() - 1;
            body.insert_str(
                end,
                &format!(",\"scheduler\":{}", json!(scheduler.stand.word())),
            );
        }
        page
    }

    fn metrics(&self) -> Response<String> {
        match self.scraper.text() {
            Ok(text) => page(StatusCode::OK, Scraper::CONTENT_TYPE, text),
            Err(error) => {
                tracing::error!(%error, "no metrics");
                refusal(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "no metrics: see the log\n",
                )
            }
        }
    }
}

fn told(name: &str, verdict: &Verdict) -> Response<String> {
    let status = match verdict.passed() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = json!({ name: verdict.passed(), "checks": verdict.failed });
    page(status, JSON, format!("{body}\n"))
}

fn refusal(status: StatusCode, sentence: &str) -> Response<String> {
    page(status, TEXT, sentence.to_owned())
}

fn page(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut page = Response::new(body);
    *page.status_mut() = status;
    let headers = page.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}
