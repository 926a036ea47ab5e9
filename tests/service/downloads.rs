//! Bodies that go into files.

use std::path::PathBuf;

use broadside::clients::download::{Downloaded, Error};
use broadside::clients::service::Error as ServiceError;
use tempfile::TempDir;

use crate::server::{Script, Server, Step, answer};
use crate::service;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("day.json")
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }
}

fn cut(headers: &str, length: usize, body: &str) -> Script {
    vec![Step::Raw(format!("HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\n\r\n{body}").into())]
}

const RESUMABLE: &str = "accept-ranges: bytes\r\netag: \"v1\"\r\n";

#[tokio::test]
async fn a_body_becomes_a_file_once_it_is_whole() {
    let server = Server::start(vec![cut("", 9, "1234"), answer("200 OK", "", "123456789")]).await;
    let (service, folder) = (service(&server.url()), Folder::new());
    assert!(service.download("/day", &folder.file(), 100).await.is_err());
    assert_eq!(folder.names(), ["day.json.part"]);
    assert_eq!(service.download("/day", &folder.file(), 100).await.unwrap(), Downloaded::Whole(9));
    assert_eq!((folder.names(), folder.text()), (vec!["day.json".to_owned()], "123456789".to_owned()));
    assert!(!server.requests()[1].head.to_lowercase().contains("range:"), "what cannot be resumed is not");
}

#[tokio::test]
async fn a_body_that_broke_off_is_gone_on_with_where_the_service_can() {
    let rest = answer("206 Partial Content", "content-range: bytes 4-8/9\r\netag: \"v1\"\r\n", "56789");
    let server = Server::start(vec![cut(RESUMABLE, 9, "1234"), rest]).await;
    let (service, folder) = (service(&server.url()), Folder::new());
    assert!(service.download("/day", &folder.file(), 100).await.is_err());
    assert_eq!(service.download("/day", &folder.file(), 100).await.unwrap(), Downloaded::Whole(9));
    assert_eq!((folder.names(), folder.text()), (vec!["day.json".to_owned()], "123456789".to_owned()));
    let head = server.requests()[1].head.to_lowercase();
    assert!(head.contains("range: bytes=4-") && head.contains("if-range: \"v1\""), "{head}");
}

#[tokio::test]
async fn another_version_is_taken_from_its_start() {
    let server = Server::start(vec![cut(RESUMABLE, 9, "1234"), answer("200 OK", "", "abc")]).await;
    let (service, folder) = (service(&server.url()), Folder::new());
    assert!(service.download("/day", &folder.file(), 100).await.is_err());
    assert_eq!(service.download("/day", &folder.file(), 100).await.unwrap(), Downloaded::Whole(3));
    assert_eq!(folder.text(), "abc");
}

#[tokio::test]
async fn a_part_that_the_service_does_not_know_is_forgotten() {
    let wrong = answer("206 Partial Content", "content-range: bytes 0-8/9\r\n", "123456789");
    let server = Server::start(vec![cut(RESUMABLE, 9, "1234"), wrong, answer("200 OK", "", "abc")]).await;
    let (service, folder) = (service(&server.url()), Folder::new());
    assert!(service.download("/day", &folder.file(), 100).await.is_err());
    let status = service.download("/day", &folder.file(), 100).await.unwrap();
    assert_eq!(status, Downloaded::Status { status: 206, retry_after: None });
    assert!(folder.names().is_empty());
    assert_eq!(service.download("/day", &folder.file(), 100).await.unwrap(), Downloaded::Whole(3));
}

#[tokio::test]
async fn a_refusal_is_answered_and_leaves_nothing() {
    let server = Server::start(vec![answer("429 Too Many Requests", "retry-after: 3\r\n", "busy")]).await;
    let folder = Folder::new();
    let status = service(&server.url()).download("/day", &folder.file(), 100).await.unwrap();
    assert_eq!(status, Downloaded::Status { status: 429, retry_after: Some(std::time::Duration::from_secs(3)) });
    assert!(folder.names().is_empty());
}

#[tokio::test]
async fn a_body_beyond_the_bound_and_a_folder_that_is_not_there_are_named() {
    let server = Server::start(vec![answer("200 OK", "", "123456789")]).await;
    let (service, folder) = (service(&server.url()), Folder::new());
    let error = service.download("/day", &folder.file(), 8).await.unwrap_err();
    assert!(matches!(error, Error::Service(ServiceError::TooLarge { limit: 8, .. })), "{error}");
    let error = service.download("/day", &folder.0.path().join("none/day.json"), 100).await.unwrap_err();
    assert!(matches!(error, Error::File { .. }) && error.to_string().contains("none/day.json.part"), "{error}");
}
