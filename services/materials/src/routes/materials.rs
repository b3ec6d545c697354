use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use longhaul::{JobFilter, JobId, JobRecord, NewJob, Page, Payloads};
use service_support::{Commit, DbError, RowJob, User, Write};

use super::Caller;
use super::list::{Cursor, Listed, Part};
use crate::app::App;
use crate::error::{self, Error};
use crate::jobs::{Purge, process_job};
use crate::model::{Material, MaterialResponse, Status};

/// Lists the materials of a course
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/courses/{course}/materials",
    operation_id = "listMaterials",
    params(Part),
    responses((status = 200, description = "The materials", body = Vec<MaterialResponse>, headers(
        ("Link" = Option<String>, description = "The next part of the list, as `rel=\"next\"`"),
    ))),
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Path(course_id): Path<String>,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Listed<MaterialResponse>, Error> {
    let part = part.map_err(|_| Error::bad_request("Query parameters are not valid"))?.0;
    app.check_course(&user, &course_id).await?;
    let sql = format!(
        "SELECT {} FROM materials m WHERE m.course_id = $1 AND {} ORDER BY m.created_at DESC, m.id DESC LIMIT $4",
        Material::COLUMNS,
        Part::after("m")
    );
    let rows = app.db.read(sql, part.params(course_id.as_str().into())?).await?;
    let materials = rows.iter().map(Material::from_row).collect::<Result<Vec<_>, DbError>>()?;
    let last = rows.last().map(Cursor::of).transpose()?;
    let views = app.views(materials).await?;
    Ok(part.listed(&format!("{}/courses/{course_id}/materials", app.base_path), views, last))
}

/// Looks a material up
#[utoipa::path(
    get,
    path = "/materials/{material}",
    operation_id = "getMaterial",
    responses((status = 200, description = "The material", body = MaterialResponse)),
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Path(id): Path<String>,
) -> Result<Json<MaterialResponse>, Error> {
    let material = app.owned(&user, &id).await?;
    Ok(Json(app.view(material).await?))
}

/// Deletes a material
///
/// It is gone at once; its file and its texts follow in the background.
#[utoipa::path(
    delete,
    path = "/materials/{material}",
    operation_id = "deleteMaterial",
    responses((status = 204, description = "It is gone")),
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Error> {
    let material = app.owned(&user, &id).await?;
    let purge = Purge { material_id: id.clone(), keep_from_run: None, file: Some(id.clone()) };
    // Ahead of the documents that wait to be read: the user was told that it is gone.
    let purge = NewJob { priority: 10, ..NewJob::of(&purge)? };
    let delete = Write::guarded("DELETE FROM materials WHERE id = $1", vec![id.as_str().into()]);
    match app.db.commit(vec![delete], vec![purge]).await? {
        Commit::Done(_) => {}
        Commit::Refused { .. } => return Err(error::no_material()),
    }
    // A job that is not stopped here finds no row and stops by itself.
    if let Err(error) = app.longhaul.cancel(&material.job_id()).await {
        tracing::warn!(material = id, "failed to cancel the processing of a deleted material: {error}");
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Reads a material anew
///
/// Until that is done, search goes on with what it has.
#[utoipa::path(
    post,
    path = "/materials/{material}/reprocess",
    operation_id = "reprocessMaterial",
    responses(
        (status = 202, description = "The material, pending", body = MaterialResponse),
        (status = 409, description = "It is being processed"),
    ),
)]
pub(crate) async fn reprocess(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<MaterialResponse>), Error> {
    let material = app.owned(&user, &id).await?;
    let shown = app.view(material.clone()).await?;
    let busy = || Err(Error::new(StatusCode::CONFLICT, "Material is already being processed"));
    if matches!(shown.processing_status, Status::Pending | Status::Processing) {
        return busy();
    }
    let now = app.clock.now();
    let material = Material { run: material.run + 1, updated_at: now, error_message: None, ..material };
    let begin = Write::guarded(
        "UPDATE materials SET run = $2, updated_at = $3, error_message = NULL WHERE id = $1 AND run = $2 - 1",
        vec![id.into(), material.run.into(), now.into()],
    );
    let job = process_job(&app, &material, &user.sub)?;
    match app.db.commit(vec![begin], vec![job]).await? {
        Commit::Done(_) => Ok((StatusCode::ACCEPTED, Json(material.view_pending()))),
        // Another request was first.
        Commit::Refused { .. } => busy(),
    }
}

/// Downloads the file of a material
#[utoipa::path(
    get,
    path = "/materials/{material}/download",
    operation_id = "downloadMaterial",
    responses((status = 200, description = "The file", content_type = "*/*", body = Vec<u8>)),
)]
pub(crate) async fn download(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let material = app.owned(&user, &id).await?;
    let Some(file) = app.storage.read(&id).await.map_err(error::file_failed)? else {
        tracing::error!(material = id, "the file of a material is missing");
        return Err(error::no_file());
    };
    let mut response = Response::new(Body::from_stream(file));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_str(&material.file_type);
    headers.insert(CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(material.file_size));
    headers.insert(CONTENT_DISPOSITION, attachment(&material.name));
    // A stranger's upload is never to be taken for a page of this site.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

impl App {
    pub(crate) async fn owned(&self, user: &User, id: &str) -> Result<Material, Error> {
        let sql = format!(
            "SELECT {} FROM materials m JOIN courses c ON c.id = m.course_id WHERE m.id = $1 AND c.owner = $2",
            Material::COLUMNS
        );
        let rows = self.db.read(sql, vec![id.into(), user.sub.as_str().into()]).await?;
        let row = rows.first().ok_or_else(error::no_material)?;
        Ok(Material::from_row(row)?)
    }

    async fn view(&self, material: Material) -> Result<MaterialResponse, Error> {
        self.views(vec![material]).await?.pop().ok_or_else(error::no_material)
    }

    /// Materials with the states of their jobs.
    async fn views(&self, materials: Vec<Material>) -> Result<Vec<MaterialResponse>, Error> {
        let ids = materials.iter().map(Material::job_id).collect();
        let is_open = |material: &&Material| material.indexed_run != Some(material.run);
        let open: HashSet<JobId> = materials.iter().filter(is_open).map(Material::job_id).collect();
        let jobs = self.db.find_jobs(ids, |id| open.contains(id), |ids| self.jobs(ids)).await?;
        let view = |material: Material| match jobs.get(&material.job_id()) {
            Some(RowJob::Waiting(_)) => material.view_pending(),
            Some(RowJob::Enqueued(job)) => material.view(Some(&**job)),
            None => material.view(None),
        };
        Ok(materials.into_iter().map(view).collect())
    }

    /// The jobs of these ids that are in their store. A list of them: a look-up would count, for each that waits, those that are
    /// ahead, which nobody is shown.
    async fn jobs(&self, ids: Vec<JobId>) -> longhaul::Result<Vec<JobRecord>> {
        let mut jobs = Vec::with_capacity(ids.len());
        if ids.is_empty() {
            return Ok(jobs);
        }
        let filter = JobFilter { ids, ..JobFilter::default() };
        let mut page = Page { cursor: None, limit: 1_000, payloads: Payloads::Short };
        loop {
            let found = self.longhaul.store().list(&filter, page.clone()).await?;
            jobs.extend(found.jobs);
            page.cursor = found.next;
            if page.cursor.is_none() {
                return Ok(jobs);
            }
        }
    }
}

/// A `Content-Disposition` that keeps a name (RFC 6266) but for what could make it a path, with a plain one for old clients.
fn attachment(name: &str) -> HeaderValue {
    let plain: String =
        name.chars()
            .map(|c| {
                if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '/' | '%') || c == ' ' { c } else { '_' }
            })
            .collect();
    let mut encoded = String::new();
    let name = name.replace(|c: char| matches!(c, '/' | '\\') || c.is_control(), "_");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    let text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_makes_a_header() {
        assert_eq!(
            attachment("a \"b\"/../ü\n.pdf"),
            "attachment; filename=\"a _b__.._".to_owned()
                + "__.pdf\"; filename*=UTF-8''a%20%22b%22_.._%C3%BC_.pdf"
        );
    }
}
