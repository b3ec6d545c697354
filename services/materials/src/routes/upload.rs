use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use futures::{Stream, StreamExt};
use service_support::{Commit, FileDigest, Form, FormField, Once, User, Write};
use utoipa::ToSchema;

use super::Caller;
use crate::app::App;
use crate::error::{self, Error};
use crate::extract::{SNIFF_BYTES, TAKEN, may_be_taken, sniff_file};
use crate::jobs::process_job;
use crate::model::{Material, MaterialResponse};
use crate::storage::{Incoming, Storage};

/// The largest file that is taken.
const MAX_FILE_BYTES: u64 = 50 * 1024 * 1024;
/// The bytes that a form may have around its file.
const MAX_FORM_BYTES: u64 = 1024 * 1024;
/// Fields that a form may have before its file.
const MAX_FIELDS: usize = 100;
const MAX_NAME_BYTES: usize = 255;
/// The time, and the bytes, for which a client that was refused may go on sending.
const LINGER: Duration = Duration::from_secs(10);
const LINGER_BYTES: usize = 2 * MAX_FILE_BYTES as usize;

/// Uploads a material
///
/// The answer comes as soon as the file is durable: its row and the job that reads it are one commit.
#[utoipa::path(
    post,
    path = "/courses/{course}/materials",
    operation_id = "uploadMaterial",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "The material, pending", body = MaterialResponse),
        (status = 413, description = "The file is too large, or the caller's room is used up"),
    ),
)]
pub(crate) async fn upload(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Path(course_id): Path<String>,
    once: Once,
    request: Request,
) -> Result<(StatusCode, Json<MaterialResponse>), Error> {
    let room = match app.check_upload(&user, &course_id, request.headers()).await {
        Ok(room) => room,
        Err(error) => {
            linger(request);
            return Err(error);
        }
    };
    let form = Form::open(request).await;
    let mut form = form.map_err(|_| Error::bad_request("Request must be multipart/form-data with a file"))?;
    match receive(&app, &mut form, room, &once).await {
        Ok(upload) => {
            // From here on the upload is completed whether its client waits or not: to stop between the file and its
            // row would leave a file that nobody knows.
            let kept = tokio::spawn(async move { app.keep(upload, course_id, user.sub, once).await }).await;
            let material = kept.unwrap_or_else(|panic| Err(Error::fault(&panic)))?;
            Ok((StatusCode::CREATED, Json(material)))
        }
        Err(error) => {
            drain(form.into_body());
            Err(error)
        }
    }
}

impl App {
    /// Looks whether an upload may begin, and answers for how many bytes there is room.
    async fn check_upload(&self, user: &User, course_id: &str, headers: &HeaderMap) -> Result<u64, Error> {
        self.check_course(user, course_id).await?;
        let declared = declared(headers);
        if declared > MAX_FILE_BYTES + MAX_FORM_BYTES {
            return Err(too_large());
        }
        let room = self.room(&user.sub, course_id).await?;
        if room == 0 || declared > room.saturating_add(MAX_FORM_BYTES) {
            return Err(over_quota());
        }
        // A file without its row would only take the room that a full store has set aside to go on.
        self.db.ready().await?;
        Ok(room)
    }
}

/// The form of an upload, as the document describes it: it is read as it comes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes")]
struct UploadForm {
    /// The file, at most 50 MB; its bytes decide what it is.
    #[schema(value_type = String, format = Binary)]
    file: (),
}

/// A file that has come whole and looks like one that is taken.
struct Upload {
    name: String,
    /// The kind that the client names.
    claimed: Option<String>,
    incoming: Incoming,
}

/// The first field named `file`; those before it are read and thrown away.
async fn receive(app: &App, form: &mut Form, room: u64, once: &Once) -> Result<Upload, Error> {
    let mut fields = 0;
    let mut others: u64 = 0;
    while let Some(mut field) = form.next_field().await? {
        if field.name() == Some("file") {
            return receive_file(app, field, room, once).await;
        }
        fields += 1;
        // Looked at with each piece: a field may have no end.
        while let Some(bytes) = field.chunk().await? {
            others += bytes.len() as u64;
            if others > MAX_FORM_BYTES {
                return Err(too_much_beside());
            }
        }
        if fields > MAX_FIELDS {
            return Err(too_much_beside());
        }
    }
    Err(Error::bad_request("Field 'file' is required"))
}

async fn receive_file(app: &App, mut field: FormField<'_>, room: u64, once: &Once) -> Result<Upload, Error> {
    let name = field.file_name().unwrap_or_default().into_owned();
    if name.is_empty() {
        return Err(Error::bad_request("File name is required"));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(Error::bad_request("File name too long"));
    }
    let claimed = field.content_type().map(str::to_owned);
    let mut head = Bytes::new();
    while head.len() < SNIFF_BYTES
        && let Some(bytes) = field.chunk().await?
    {
        head = if head.is_empty() { bytes } else { [head, bytes].concat().into() };
    }
    if head.is_empty() {
        return Err(Error::bad_request("File is empty"));
    }
    if !may_be_taken(&head) {
        return Err(not_allowed(&name, claimed.as_deref()));
    }
    let mut incoming = app.storage.receive();
    let mut digest = once.file(&name);
    write(&mut incoming, &mut digest, head, room).await?;
    while let Some(bytes) = field.chunk().await? {
        write(&mut incoming, &mut digest, bytes, room).await?;
    }
    once.file_read(digest);
    Ok(Upload { name, claimed, incoming })
}

async fn write(
    incoming: &mut Incoming,
    digest: &mut FileDigest,
    bytes: Bytes,
    room: u64,
) -> Result<(), Error> {
    let size = incoming.size + bytes.len() as u64;
    if size > MAX_FILE_BYTES {
        return Err(too_large());
    }
    if size > room {
        return Err(over_quota());
    }
    digest.update(&bytes);
    incoming.write(bytes).await.map_err(error::file_failed)
}

impl App {
    async fn keep(
        &self,
        upload: Upload,
        course_id: String,
        user: String,
        once: Once,
    ) -> Result<MaterialResponse, Error> {
        let Upload { name, claimed, incoming } = upload;
        let (id, size) = (uuid::Uuid::now_v7().to_string(), incoming.size);
        let kind = {
            let name = name.clone();
            self.storage.keep(incoming, &id, move |path| sniff_file(path, &name))
        };
        let kind = match kind.await {
            Ok(kind) => kind,
            Err(error) => {
                self.forget(&id).await;
                return Err(error::file_failed(error));
            }
        };
        let (kind, _held) = kind.ok_or_else(|| not_allowed(&name, claimed.as_deref()))?;
        let now = self.clock.now();
        let material = Material {
            file_path: Storage::file_path(&id),
            file_type: kind.mime().to_owned(),
            file_size: size,
            run: 1,
            indexed_run: None,
            embedding_model: None,
            processed_at: None,
            error_message: None,
            created_at: now,
            updated_at: now,
            name,
            course_id,
            id,
        };
        let job = process_job(self, &material, &user)?;
        let mut writes = vec![insert(&material)];
        writes.extend(self.quota.guards(&user, &material));
        let shown = material.clone().view_pending();
        match once.commit(&self.db, (StatusCode::CREATED, &shown), writes, vec![job]).await {
            Ok(Commit::Done(_)) => Ok(shown),
            Ok(Commit::Refused { write }) => {
                self.forget(&material.id).await;
                Err(if write == 0 { error::no_course() } else { over_quota() })
            }
            Err(error) => {
                // Only a store that went away may have written the row. Then the file is left for the sweep, which looks.
                let outage = longhaul::Error::outage_in(&error);
                if !matches!(outage, Some(longhaul::Error::Unavailable { .. })) {
                    self.forget(&material.id).await;
                }
                Err(error.into())
            }
        }
    }

    async fn forget(&self, id: &str) {
        if let Err(error) = self.storage.remove(id).await {
            tracing::warn!(material = id, "failed to remove the file of a refused upload: {error}");
        }
    }
}

/// Changes nothing where the course was deleted since it was looked at.
fn insert(material: &Material) -> Write {
    Write::guarded(
        "INSERT INTO materials (id, course_id, name, file_path, file_type, file_size, run, chunks, terms, \
         created_at, updated_at) SELECT $1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $8 \
         FROM courses WHERE id = $2",
        vec![
            material.id.as_str().into(),
            material.course_id.as_str().into(),
            material.name.as_str().into(),
            material.file_path.as_str().into(),
            material.file_type.as_str().into(),
            material.file_size.into(),
            material.run.into(),
            material.created_at.into(),
        ],
    )
}

/// The bytes that a form says beforehand that it has; 0 where it does not say.
fn declared(headers: &HeaderMap) -> u64 {
    headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0)
}

fn too_much_beside() -> Error {
    Error::bad_request("Form has too much beside its file")
}

fn over_quota() -> Error {
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, "Storage quota exceeded")
}

fn too_large() -> Error {
    let detail = format!("File size exceeds {:.1}MB limit", MAX_FILE_BYTES as f64 / (1024.0 * 1024.0));
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// Names what the client says that the file is, as far as that is fit to be repeated, and what it may be instead.
fn not_allowed(name: &str, claimed: Option<&str>) -> Error {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let told = claimed.map(str::to_owned).or(extension).unwrap_or_else(|| "unknown".into());
    let told: String = told.chars().filter(|c| !c.is_control()).take(100).collect();
    Error::bad_request(format!("File type {told} not allowed. Allowed are {TAKEN}"))
}

/// Reads on what a refused client still sends: one whose connection is closed while it sends may never see why. One
/// that waits to be told to go on has not begun, and sees at once.
fn linger(request: Request) {
    if !request.headers().contains_key(EXPECT) {
        drain(request.into_body().into_data_stream());
    }
}

fn drain(mut body: impl Stream<Item = Result<Bytes, axum::Error>> + Send + Unpin + 'static) {
    tokio::spawn(tokio::time::timeout(LINGER, async move {
        let mut read = 0;
        while let Some(Ok(bytes)) = body.next().await
            && read < LINGER_BYTES
        {
            read += bytes.len();
        }
    }));
}
