use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::body::Body;
use axum::http::Request;
use futures::{StreamExt, stream};
use longhaul::JobFilter;
use serde_json::Value;

use crate::fixture::{FORM, Fixture, form, process_job, sample};

const FIELDS: [&str; 12] = [
    "id",
    "course_id",
    "name",
    "file_path",
    "file_type",
    "file_size",
    "processing_status",
    "processed_at",
    "error_message",
    "has_embedding",
    "created_at",
    "updated_at",
];

const NOT_ALLOWED: &str = "File type application/pdf not allowed. Allowed are PDF, Word (docx), PowerPoint (pptx), \
    Excel (xlsx), OpenDocument (odt, odp, ods, fodt, fodp, fods), RTF, EPUB, HTML, mail (eml), web archives (mht), CSV, \
    text, Markdown, JPEG, PNG, GIF and WebP";

#[tokio::test]
async fn an_upload_answers_with_the_twelve_fields_and_leaves_a_job() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let bytes = sample("lecture.pdf");
    let reply = f.upload(&course, "lecture.pdf", &bytes).await;
    assert_eq!(reply.status, 201);
    let material = reply.json();
    let fields: BTreeSet<&str> = material.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, BTreeSet::from(FIELDS));
    assert_eq!(material["course_id"], course);
    assert_eq!(material["name"], "lecture.pdf");
    assert_eq!(material["file_type"], "application/pdf");
    assert_eq!(material["file_size"], bytes.len());
    assert_eq!(material["processing_status"], "pending");
    assert_eq!(material["processed_at"], Value::Null);
    assert_eq!(material["error_message"], Value::Null);
    assert_eq!(material["has_embedding"], false);

    let id = material["id"].as_str().unwrap();
    assert_eq!(f.get(&format!("/materials/{id}")).await.json(), material);
    assert_eq!(f.get(&format!("/api/courses/{course}/materials")).await.json()[0], material);
    let job = f.longhaul.get(&process_job(id)).await.unwrap().found().unwrap();
    assert_eq!((job.kind.as_str(), job.queue.as_str()), ("materials.process", "materials"));
    assert_eq!(f.files(), [f.folder.path().join("files/materials").join(id)]);
}

#[tokio::test]
async fn a_file_comes_back_as_it_went_in() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let bytes: Vec<u8> =
        b"%PDF-1.7\n".iter().copied().chain((0..1_000_000).map(|n| (n % 251) as u8)).collect();
    let id = f.uploaded(&course, "Übung 1.pdf", &bytes).await;
    let reply = f.get(&format!("/materials/{id}/download")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, bytes);
    assert_eq!(reply.headers["content-type"], "application/pdf");
    assert_eq!(reply.headers["content-length"], bytes.len().to_string());
    assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    let disposition = reply.headers["content-disposition"].to_str().unwrap();
    assert!(disposition.ends_with("filename*=UTF-8''%C3%9Cbung%201.pdf"), "{disposition}");
}

#[tokio::test]
async fn a_name_is_taken_in_each_form_that_clients_send() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    for named in [&b"filename*=UTF-8''%C3%9Cbung.txt"[..], b"filename=\"\xDCbung.txt\""] {
        let head = b"--B\r\nContent-Disposition: form-data; name=\"file\"; ";
        let body = [head, named, b"\r\n\r\nwords\r\n--B--\r\n"].concat();
        let request = Request::post(format!("/courses/{course}/materials"))
            .header("authorization", format!("Bearer {}", f.token("ada")))
            .header("content-type", "multipart/form-data; boundary=B")
            .body(Body::from(body));
        let reply = f.send(request.unwrap()).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        assert_eq!(reply.json()["name"], "Übung.txt");
    }
}

#[tokio::test]
async fn a_name_is_only_a_name() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let first = f.uploaded(&course, "../../etc/passwd.txt", b"one").await;
    let second = f.uploaded(&course, "../../etc/passwd.txt", b"two").await;
    assert_ne!(first, second);
    let folder = f.folder.path().join("files/materials");
    assert_eq!(BTreeSet::from_iter(f.files()), BTreeSet::from([folder.join(&first), folder.join(&second)]),);
    let shown = f.get(&format!("/materials/{first}")).await.json();
    assert_eq!(shown["name"], "../../etc/passwd.txt");
    assert_eq!(shown["file_path"], format!("materials/{first}"));
    assert_eq!(f.get(&format!("/materials/{second}/download")).await.body, b"two");
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let program = [b"MZ\x90\x00\x03\x00\x00\x00".as_slice(), &[0; 20_000]].concat();
    let broken_zip = [b"PK\x03\x04\x14\x00\x06\x00".as_slice(), &[0; 9_000]].concat();
    let long = format!("{}.pdf", "x".repeat(4_000));
    for (name, bytes, error) in [
        ("virus.pdf", program.as_slice(), (400, NOT_ALLOWED)),
        ("report.docx", &broken_zip, (400, NOT_ALLOWED)),
        ("scan.tiff", b"II*\0\x08\0\0\0", (400, NOT_ALLOWED)),
        ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", (400, NOT_ALLOWED)),
        ("old.doc", b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", (400, NOT_ALLOWED)),
        ("empty.pdf", b"", (400, "File is empty")),
        (&long, b"%PDF-1.7", (400, "File name too long")),
        ("", b"%PDF-1.7", (400, "File name is required")),
    ] {
        let reply = f.upload(&course, name, bytes).await;
        assert_eq!(reply.error(), (error.0, error.1.into()), "{}", &name[..name.len().min(20)]);
    }
    let other = f.upload("019af000-0000-7000-8000-000000000000", "a.pdf", b"%PDF-1.7").await;
    assert_eq!(other.error(), (404, "Course not found".into()));

    let send = async |content_type: &str, body: Vec<u8>| {
        let request = Request::post(format!("/courses/{course}/materials"))
            .header("authorization", format!("Bearer {}", f.token("ada")))
            .header("content-type", content_type);
        f.send(request.body(Body::from(body)).unwrap()).await.error()
    };
    assert_eq!(
        send(FORM, form("photo", "a.pdf", b"%PDF-1.7")).await,
        (400, "Field 'file' is required".into())
    );
    assert_eq!(send("application/json", b"{}".to_vec()).await.0, 400);
    let mut half = form("file", "a.pdf", &sample("lecture.pdf"));
    half.truncate(2_000);
    assert_eq!(send(FORM, half).await.0, 400);

    assert!(f.files().is_empty());
    assert_eq!(f.get(&format!("/courses/{course}/materials")).await.json(), Value::Array(vec![]));
    let page = longhaul::Page { cursor: None, limit: 10, ..longhaul::Page::default() };
    assert!(f.longhaul.store().list(&JobFilter::default(), page).await.unwrap().jobs.is_empty());
}

#[tokio::test]
async fn sixty_megabytes_are_too_many_and_fifty_are_not() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let mut bytes = b"%PDF-1.7\n".to_vec();
    bytes.resize(50 * 1024 * 1024, b'x');
    assert_eq!(f.upload(&course, "fits.pdf", &bytes).await.status, 201);
    bytes.push(b'x');
    let too_large = (413, "File size exceeds 50.0MB limit".to_owned());
    assert_eq!(f.upload(&course, "one-more.pdf", &bytes).await.error(), too_large);
    bytes.resize(60 * 1024 * 1024, b'x');
    assert_eq!(f.upload(&course, "sixty.pdf", &bytes).await.error(), too_large);
    assert_eq!(f.files().len(), 1);
}

#[tokio::test]
async fn a_form_with_much_beside_its_file_is_refused() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let send_body = async |body: Body| {
        let request = Request::post(format!("/courses/{course}/materials"))
            .header("authorization", format!("Bearer {}", f.token("ada")))
            .header("content-type", FORM);
        f.send(request.body(body).unwrap()).await.error()
    };
    let send = async |body: Vec<u8>| send_body(Body::from(body)).await;
    let long = vec![b'a'; 3 << 20];
    let field = |value: &[u8]| {
        [b"--XyZ\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n", value, b"\r\n"].concat()
    };
    let file = form("file", "a.txt", b"Leaves are green.");
    let cut = (400, "Upload was cut off or is not valid multipart/form-data".to_owned());
    assert_eq!(send([&long[..], &file].concat()).await, cut, "before the first part");
    let head = [b"--XyZ\r\nContent-Disposition: form-data; name=\"x\"\r\nX-A: ".as_slice(), &long].concat();
    assert_eq!(send(head).await, cut, "in the head of a part");
    assert_eq!(send(form("file", &"n".repeat(3 << 20), b"x")).await, cut, "in a file's name");
    let beside = (400, "Form has too much beside its file".to_owned());
    assert_eq!(send([field(&long), file.clone()].concat()).await, beside, "in another field");
    assert_eq!(send([field(b"x").repeat(200), file.clone()].concat()).await, beside, "in many fields");
    let begin = b"--XyZ\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n".as_slice();
    let pieces = stream::once(async move { begin }).chain(stream::repeat([b'a'; 4096].as_slice()));
    let endless = Body::from_stream(pieces.map(Ok::<_, Infallible>));
    assert_eq!(send_body(endless).await, beside, "in a field without end");
    assert!(f.files().is_empty());
    let request = Request::post(format!("/courses/{course}/materials"))
        .header("authorization", format!("Bearer {}", f.token("ada")))
        .header("content-type", FORM);
    let taken = [field(&long[..500_000]), field(b"x").repeat(50), file].concat();
    assert_eq!(f.send(request.body(Body::from(taken)).unwrap()).await.status, 201);
}

#[tokio::test]
async fn a_file_that_somebody_removed_is_not_found() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let id = f.uploaded(&course, "a.txt", b"Leaves are green.").await;
    std::fs::remove_file(&f.files()[0]).unwrap();
    let reply = f.get(&format!("/materials/{id}/download")).await;
    assert_eq!(reply.error(), (404, "File not found".into()));
}
