//! kill -9 of the download worker while yt-dlp fetches the film of a page: what came of it lies there for the next attempt's yt-dlp.
//!
//! It deliberately has no yt-dlp, but what one of 2026.10.26 was seen to do: `<output>.part` grows, and is gone on with when it is there.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use sapari_tasks::{DownloadMedia, Role};
use uuid::Uuid;

use super::killed::{LEASE, kill};
use super::support::{INTERVIEW, PATIENCE, Space, until};
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
while some := film.read1(65536):
    part.write(some)
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
    for role in [Role::Download, Role::Proxy, Role::Analysis] {
        broker.declare(role.queue()).await.expect("declared");
    }
    let task = DownloadMedia {
        project_uuid: Uuid::new_v4(),
        clip_file_uuid: Uuid::new_v4(),
        url: web.url("/watch"),
        clip_key: "clips/interview.mp4".to_owned(),
        export_uuid: None,
    };
    let handle = space.tasks(&broker).await.kick(task).await.expect("kicked");

    let program = program(&space);
    let flags = [&LEASE[..], &["--yt-dlp", &program]].concat();
    let worker = space.start("sapari-download", &flags);
    let came = || {
        let files = space.files("scratch");
        let part = files.iter().find(|name| name.ends_with("page.mp4.part"));
        let part = part.and_then(|name| space.path("scratch").join(name).metadata().ok());
        part.is_some_and(|part| part.len() == half as u64)
    };
    until("the first half", came).await;
    kill(worker).await;

    let _worker = space.start("sapari-download", &flags);
    let downloaded = handle.output().within(PATIENCE).await.expect("an output");
    let stored = std::fs::read(space.object(&downloaded.clip_key)).expect("stored");
    assert!(stored == film, "another file: {downloaded:?}");
    // The page, then its film; and once more.
    let rest = format!("{half}-");
    assert_eq!(web.ranges(), ["", "", "", &rest]);
}
