use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use service_support::{Commit, DbError, Once, User, Write, placeholders};
use utoipa::ToSchema;

use super::{Caller, json, named};
use crate::app::App;
use crate::error::{self, Error};
use crate::model::{Skill, SkillFields};
use crate::validate::Need;

/// The most skills that a list shows.
const MAX_LISTED: usize = 1_000;

/// Creates a skill
#[utoipa::path(
    post,
    path = "/skills",
    operation_id = "createSkill",
    request_body = SkillBody,
    responses((status = 201, description = "The skill", body = Skill)),
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    once: Once,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Skill>), Error> {
    let fields = SkillFields::read(&json(body)?, Need::Whole).map_err(error::invalid)?;
    let now = app.clock.now();
    let skill = fields.clone().into_skill(app.ids.next(now), &user.sub, now);
    let mut columns = fields.columns();
    columns.extend([
        ("id", skill.id.as_str().into()),
        ("user_id", user.sub.as_str().into()),
        ("created_at", now.into()),
        ("updated_at", now.into()),
    ]);
    let (names, values): (Vec<&str>, Vec<_>) = columns.into_iter().unzip();
    let sql = format!("INSERT INTO skills ({}) VALUES ({})", names.join(", "), placeholders(1, names.len()));
    once.commit(&app.db, (StatusCode::CREATED, &skill), vec![Write::new(sql, values)], vec![]).await?;
    Ok((StatusCode::CREATED, Json(skill)))
}

/// Lists the caller's skills
#[utoipa::path(
    get,
    path = "/skills",
    operation_id = "listSkills",
    responses((status = 200, description = "The skills", body = Vec<Skill>)),
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
) -> Result<Json<Vec<Skill>>, Error> {
    // A range of the index by user.
    let sql = format!(
        "SELECT {} FROM skills WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2",
        Skill::COLUMNS
    );
    let rows = app.db.read(sql, vec![user.sub.into(), MAX_LISTED.into()]).await?;
    Ok(Json(rows.iter().map(Skill::from_row).collect::<Result<_, DbError>>()?))
}

/// Looks a skill up
#[utoipa::path(
    get,
    path = "/skills/{id}",
    operation_id = "getSkill",
    responses((status = 200, description = "The skill", body = Skill)),
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Skill>, Error> {
    Ok(Json(app.own_skill(&user, named(path)).await?))
}

/// Changes a skill
///
/// A field that is not given stays as it is.
#[utoipa::path(
    put,
    path = "/skills/{id}",
    operation_id = "updateSkill",
    request_body = SkillChange,
    responses((status = 200, description = "The skill", body = Skill)),
)]
pub(crate) async fn update(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Skill>, Error> {
    let id = named(path).ok_or_else(error::no_skill)?;
    let fields = SkillFields::read(&json(body)?, Need::Part).map_err(error::invalid)?;
    let mut columns = fields.columns();
    columns.push(("updated_at", app.clock.now().into()));
    let (names, values): (Vec<&str>, Vec<_>) = columns.into_iter().unzip();
    let set: Vec<String> = (3..).zip(names).map(|(number, name)| format!("{name} = ${number}")).collect();
    // By the primary key.
    let sql = format!("UPDATE skills SET {} WHERE id = $1 AND user_id = $2", set.join(", "));
    let mut params = vec![id.as_str().into(), user.sub.as_str().into()];
    params.extend(values);
    match app.db.commit(vec![Write::guarded(sql, params)], vec![]).await? {
        Commit::Done(_) => Ok(Json(app.own_skill(&user, Some(id)).await?)),
        Commit::Refused { .. } => Err(error::no_skill()),
    }
}

/// A request for a skill, as the document describes it.
#[derive(ToSchema)]
#[schema(as = SkillRequest)]
#[expect(dead_code, reason = "it describes")]
struct SkillBody {
    #[schema(example = "React Development")]
    name: String,
    #[schema(example = "Programming")]
    category: String,
    /// `teaching` or `learning`.
    #[schema(example = "teaching")]
    r#type: String,
    /// 0 to 100.
    #[schema(example = 85)]
    proficiency: f64,
    description: Option<String>,
    experience: Option<String>,
    /// A text or a list of texts.
    goals: Option<Value>,
    /// A text or a list of texts.
    agenda: Option<Value>,
}

/// A change of a skill: what it leaves out stays as it is.
#[derive(ToSchema)]
#[schema(as = SkillChange)]
#[expect(dead_code, reason = "it describes")]
struct SkillChange {
    name: Option<String>,
    category: Option<String>,
    /// `teaching` or `learning`.
    r#type: Option<String>,
    /// 0 to 100.
    proficiency: Option<f64>,
    description: Option<String>,
    experience: Option<String>,
    /// A text or a list of texts.
    goals: Option<Value>,
    /// A text or a list of texts.
    agenda: Option<Value>,
}

/// The answer to a deletion.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionsDeleted)]
pub(crate) struct Deleted {
    pub(super) message: &'static str,
}

/// Deletes a skill
#[utoipa::path(
    delete,
    path = "/skills/{id}",
    operation_id = "deleteSkill",
    responses((status = 200, description = "It is gone", body = Deleted)),
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Deleted>, Error> {
    let id = named(path).ok_or_else(error::no_skill)?;
    let delete =
        Write::guarded("DELETE FROM skills WHERE id = $1 AND user_id = $2", vec![id.into(), user.sub.into()]);
    match app.db.commit(vec![delete], vec![]).await? {
        Commit::Done(_) => Ok(Json(Deleted { message: "Skill deleted successfully" })),
        Commit::Refused { .. } => Err(error::no_skill()),
    }
}

impl App {
    /// A skill of the caller's; another's is one that is not there.
    async fn own_skill(&self, user: &User, id: Option<String>) -> Result<Skill, Error> {
        let id = id.ok_or_else(error::no_skill)?;
        let sql = format!("SELECT {} FROM skills WHERE id = $1 AND user_id = $2", Skill::COLUMNS);
        let rows = self.db.read(sql, vec![id.into(), user.sub.as_str().into()]).await?;
        Ok(Skill::from_row(rows.first().ok_or_else(error::no_skill)?)?)
    }
}
