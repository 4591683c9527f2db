//! A web server for one file, on loopback, for as long as the demo runs: where a link comes from in production. It knows no other
//! path, and does not resume.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::TryStreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::CONTENT_LENGTH;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::fs::File;
use tokio::net::TcpListener;
use tokio_util::io::ReaderStream;
use tokio_util::task::AbortOnDropHandle;

/// The server. Dropped, it ends.
pub(super) struct Footage {
    url: String,
    _serving: AbortOnDropHandle<()>,
}

impl Footage {
    /// Serves this file from a free port of 127.0.0.1.
    pub(super) async fn serve(file: &Path, name: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let path = format!("/{name}");
        let url = format!("http://{}{path}", listener.local_addr()?);
        let served = Arc::new(Served {
            path,
            file: file.to_path_buf(),
        });
        let serving = tokio::spawn(answer_all(listener, served));
        Ok(Self {
            url,
            _serving: AbortOnDropHandle::new(serving),
        })
    }

    /// Where the file is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

/// What is served, and under which path.
struct Served {
    path: String,
    file: PathBuf,
}

/// One connection at a time: one task fetches one file.
async fn answer_all(listener: TcpListener, served: Arc<Served>) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = service_fn(|request| answer(request, Arc::clone(&served)));
        let connection = http1::Builder::new()
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        // Who goes away early comes again, or not.
        let _ = connection.await;
    }
}

async fn answer<B>(
    request: Request<B>,
    served: Arc<Served>,
) -> Result<Response<UnsyncBoxBody<Bytes, io::Error>>, Infallible> {
    let opened = match request.method() == Method::GET && request.uri().path() == served.path {
        true => open(&served.file).await,
        false => Err(io::ErrorKind::NotFound.into()),
    };
    let (status, length, body) = match opened {
        Ok((file, length)) => {
            let bytes = ReaderStream::new(file).map_ok(Frame::data);
            (
                StatusCode::OK,
                length,
                StreamBody::new(bytes).boxed_unsync(),
            )
        }
        Err(_) => {
            let nothing = Empty::new().map_err(|never: Infallible| match never {});
            (StatusCode::NOT_FOUND, 0, nothing.boxed_unsync())
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    Ok(response)
}

async fn open(file: &Path) -> io::Result<(File, u64)> {
    let file = File::open(file).await?;
    let length = file.metadata().await?.len();
    Ok((file, length))
}
