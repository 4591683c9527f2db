//! kill -9 of the download worker while yt-dlp fetches the film of a page: what came of it lies there for the next attempt's yt-dlp.
//!
//! It deliberately has no yt-dlp, but what one of 2026.10.26 was seen to do: `<output>.part` grows, is gone on with when it is there, and
//! gets its name only when all that the server announced is there. The worker's gate ends with the worker, and so does the transfer.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::killed::{LEASE, kick_download, kill, until_there};
use super::support::{INTERVIEW, PATIENCE, Space};
use crate::web::{Answer, Web};

const YT_DLP: &str = r#"#!/usr/bin/env python3
import os, sys, urllib.parse, urllib.request
if sys.argv[1:] == ["--version"]:
    print("2026.01.02")
    sys.exit()
end = sys.argv.index("--")
options = dict(it.split("=", 1) for it in sys.argv[:end] if "=" in it)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": options["--proxy"]}))
path = options["--output"].replace("%(ext)s", "mp4")
part = open(path + ".part", "ab", buffering=0)
ask = urllib.request.Request(urllib.parse.urljoin(sys.argv[end + 1], "/film.mp4"))
if part.tell():
    ask.add_header("Range", f"bytes={part.tell()}-")
film = opener.open(ask)
whole = part.tell() + film.length
while some := film.read1(65536):
    part.write(some)
if part.tell() < whole:
    sys.exit("broken off")
os.rename(path + ".part", path)
print(f"FILE:{path}")
"#;

fn program(space: &Space) -> String {
    let program = space.path("yt-dlp");
    std::fs::write(&program, YT_DLP).expect("writable");
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("ours");
    program.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_under_yt_dlp_and_only_the_rest_of_the_film_is_fetched() {
    let film = std::fs::read(INTERVIEW).expect("the sample");
    let half = film.len() - film.len() / 2;
    let page = Answer::File("text/html", b"a film".to_vec());
    let web = Web::serving(&[("/watch", page), ("/film.mp4", Answer::Half(film.clone()))]).await;
    let space = Space::new().with("SAPARI_FETCH_ALLOW", "127.0.0.1");
    let broker = space.broker().await;
    let handle = kick_download(&space, &broker, web.url("/watch")).await;

    let program = program(&space);
    let flags = [&LEASE[..], &["--yt-dlp", &program]].concat();
    let worker = space.start("sapari-download", &flags);
    until_there(&space, "page.mp4.part", half).await;
    kill(worker).await;

    let _worker = space.start("sapari-download", &flags);
    let downloaded = handle.output().within(PATIENCE).await.expect("an output");
    let stored = std::fs::read(space.object(&downloaded.clip_key)).expect("stored");
    assert!(stored == film, "another file: {downloaded:?}");
    // The page, then its film; and once more.
    let rest = format!("{half}-");
    assert_eq!(web.ranges(), ["", "", "", &rest]);
}
