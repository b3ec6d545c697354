use longhaul::{JobId, JobRecord, State, Timestamp};
use serde::Serialize;
use service_support::{DbError, Row, iso8601};
use utoipa::ToSchema;

/// A course, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Course)]
pub(crate) struct CourseResponse {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_at: String,
}

/// A material, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Material)]
pub struct MaterialResponse {
    /// Its id.
    pub id: String,
    /// The course that it belongs to.
    pub course_id: String,
    /// The file's name, as it was uploaded.
    pub name: String,
    /// The path of the file.
    pub file_path: String,
    /// The file's media type, by its bytes.
    pub file_type: String,
    /// In bytes.
    pub file_size: u64,
    /// The status of its processing.
    pub processing_status: Status,
    /// The time of its completion.
    pub processed_at: Option<String>,
    /// The reason why it failed.
    pub error_message: Option<String>,
    /// True if it can be found by meaning.
    pub has_embedding: bool,
    /// The time of its upload.
    pub created_at: String,
    /// The time of the last change to any of it.
    pub updated_at: String,
}

/// The service's own words for the state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MaterialStatus)]
pub enum Status {
    /// No worker has taken it yet.
    Pending,
    /// A worker has it, or will have it again after a failed attempt.
    Processing,
    /// Its text can be searched.
    Completed,
    /// It has ended without a text.
    Failed,
}

/// A material's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Material {
    pub(crate) id: String,
    pub(crate) course_id: String,
    pub(crate) name: String,
    pub(crate) file_path: String,
    pub(crate) file_type: String,
    pub(crate) file_size: u64,
    pub(crate) run: u32,
    pub(crate) indexed_run: Option<u32>,
    pub(crate) embedding_model: Option<String>,
    pub(crate) processed_at: Option<Timestamp>,
    pub(crate) error_message: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl Material {
    /// The columns that [`from_row`](Self::from_row) reads.
    pub(crate) const COLUMNS: &str = "m.id, m.course_id, m.name, m.file_path, m.file_type, m.file_size, m.run, \
        m.indexed_run, m.embedding_model, m.processed_at, m.error_message, m.created_at, m.updated_at";

    pub(crate) fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.get("id")?,
            course_id: row.get("course_id")?,
            name: row.get("name")?,
            file_path: row.get("file_path")?,
            file_type: row.get("file_type")?,
            file_size: row.get("file_size")?,
            run: row.get("run")?,
            indexed_run: row.get("indexed_run")?,
            embedding_model: row.get("embedding_model")?,
            processed_at: row.get("processed_at")?,
            error_message: row.get("error_message")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }

    /// The job that does its newest processing.
    pub(crate) fn job_id(&self) -> JobId {
        job_id(&self.id, self.run)
    }

    /// The material with the state of its job. Without a job, because it has been pruned, the state is derived from the row.
    pub(crate) fn view(self, job: Option<&JobRecord>) -> MaterialResponse {
        let (processing_status, error) = match job {
            Some(job) => (status(job), last_error(job)),
            None => self.ended(),
        };
        let changed = job.and_then(|job| job.finished_at.max(job.started_at));
        MaterialResponse {
            processed_at: self.processed_at.filter(|_| processing_status == Status::Completed).map(iso8601),
            error_message: error.filter(|_| processing_status == Status::Failed),
            has_embedding: self.embedding_model.is_some(),
            created_at: iso8601(self.created_at),
            updated_at: iso8601(changed.map_or(self.updated_at, |changed| changed.max(self.updated_at))),
            processing_status,
            id: self.id,
            course_id: self.course_id,
            name: self.name,
            file_path: self.file_path,
            file_type: self.file_type,
            file_size: self.file_size,
        }
    }

    /// The material whose job was committed with it, and is not known to the jobs' store yet.
    pub(crate) fn view_pending(self) -> MaterialResponse {
        MaterialResponse { processing_status: Status::Pending, error_message: None, ..self.view(None) }
    }

    /// The end of the newest processing, by the row. An unfinished job is never pruned, so a run without a job and
    /// without a result is one whose worker died too often.
    fn ended(&self) -> (Status, Option<String>) {
        if self.indexed_run == Some(self.run) {
            return (Status::Completed, None);
        }
        let error = self.error_message.clone();
        (Status::Failed, Some(error.unwrap_or_else(|| "Processing was interrupted".into())))
    }
}

/// The id of the job that does processing `run` of a material.
pub(crate) fn job_id(material_id: &str, run: u32) -> JobId {
    let id = match run {
        1 => format!("materials-{material_id}"),
        run => format!("materials-{material_id}-{run}"),
    };
    // A UUID and a number keep to the pattern of ids.
    JobId::from_store(id)
}

fn status(job: &JobRecord) -> Status {
    match job.state {
        State::Completed => Status::Completed,
        State::Failed | State::Cancelled => Status::Failed,
        State::Running => Status::Processing,
        // A retry or a snoozed job waits too, but its work has begun.
        State::Blocked | State::Scheduled | State::Available if job.started_at.is_some() => {
            Status::Processing
        }
        State::Blocked | State::Scheduled | State::Available => Status::Pending,
    }
}

fn last_error(job: &JobRecord) -> Option<String> {
    match job.state {
        State::Cancelled => Some("Processing was cancelled".into()),
        State::Failed => job.errors.last().map(|error| error.message.clone()),
        _ => None,
    }
}
