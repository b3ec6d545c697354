use longhaul::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};
use service_support::{DbError, Language, Row, iso8601};

use super::lesson_minutes;

/// A workflow: what was given for steps 1 to 9, and how many of its modules have lesson plans.
#[derive(Clone, Debug)]
pub(crate) struct Workflow {
    pub(crate) id: String,
    /// As it was given.
    pub(crate) body: Map<String, Value>,
    /// The user whose token it came with.
    pub(crate) owner: Option<String>,
    pub(crate) step9_complete: bool,
    /// The index of the next module to get its lesson plans: those before it have theirs.
    pub(crate) generated: u32,
    /// Counts its edits.
    pub(crate) revision: u32,
    /// The edit that changed its modules last.
    pub(crate) modules_revision: u32,
    /// True from a cancel of its step 10 until the next start.
    pub(crate) halted: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A module, as far as lesson plans need it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Module {
    /// The caller's own id of it, or `module-{index}`.
    pub(crate) id: String,
    pub(crate) code: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) contact_hours: f64,
    pub(crate) outcomes: Vec<Outcome>,
}

/// A thing that students are to be able to do after a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The caller's own id of it, or `MLO{n}`.
    pub(crate) id: String,
    pub(crate) statement: String,
}

/// Contact hours, as JSON shows them.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(crate) struct Hours(pub(crate) f64);

/// The fields of a workflow that say whose it is, the first of them before the others. A backend with one token for all of its
/// users says so there, so they go before the user of the token.
const OWNER_FIELDS: [&str; 5] = ["userId", "user_id", "createdBy", "ownerId", "owner"];
/// The numbers of modules, and of outcomes of each, in which the language of a workflow is looked for, and the length
/// of each text.
const LANGUAGE_MODULES: usize = 8;
const LANGUAGE_CHARS: usize = 300;
/// The fields that a workflow shows and its caller does not set.
const OWN_FIELDS: [&str; 4] = ["_id", "currentStep", "createdAt", "updatedAt"];
const MAX_MODULES: usize = 500;
/// The most characters of the caller's ids of modules and outcomes.
const MAX_ID_CHARS: usize = 64;
const MAX_TITLE_CHARS: usize = 500;
const MAX_CODE_CHARS: usize = 64;
const MAX_DESCRIPTION_CHARS: usize = 10_000;
const MAX_OUTCOMES: usize = 50;
const MAX_OUTCOME_CHARS: usize = 1_000;
/// The most contact hours of a module.
const MAX_HOURS: f64 = 500.0;
/// The most contact hours of a workflow: 500 modules of 20 hours, say.
const MAX_TOTAL_HOURS: f64 = 10_000.0;

impl Workflow {
    /// The columns that [`from_row`](Self::from_row) reads.
    pub(crate) const COLUMNS: &str = "id, body, owner, step9_complete, generated, revision, modules_revision, halted, created_at, updated_at";

    /// Checks what a caller gave; the message names the field that cannot be used.
    pub(crate) fn check(body: &Map<String, Value>) -> Result<(bool, Vec<Module>), String> {
        required_text(body, "title", "", MAX_TITLE_CHARS)?;
        let step9_complete = match body.get("step9Complete") {
            None => true,
            Some(Value::Bool(complete)) => *complete,
            Some(_) => return Err("step9Complete must be true or false".into()),
        };
        let Some(Value::Array(given)) = body.get("modules") else {
            return Err("modules must be a list".into());
        };
        if given.len() > MAX_MODULES {
            return Err(format!("modules must be at most {MAX_MODULES}"));
        }
        let mut modules: Vec<Module> = Vec::with_capacity(given.len());
        for (index, given) in given.iter().enumerate() {
            let module = Module::check(index, given)?;
            // Ids of lessons begin with the code.
            if modules.iter().any(|earlier| earlier.code == module.code) {
                return Err(format!("modules[{index}].code '{}' is another module's too", module.code));
            }
            modules.push(module);
        }
        if modules.iter().map(|module| module.contact_hours).sum::<f64>() > MAX_TOTAL_HOURS {
            return Err(format!("modules must have at most {MAX_TOTAL_HOURS} contactHours in all"));
        }
        Ok((step9_complete, modules))
    }

    pub(crate) fn from_row(row: &Row) -> Result<Self, DbError> {
        let body: String = row.get("body")?;
        let body = serde_json::from_str(&body)
            .map_err(|e| DbError::Column { column: "body".into(), reason: e.to_string() })?;
        Ok(Self {
            id: row.get("id")?,
            body,
            owner: row.get("owner")?,
            step9_complete: row.get::<i64>("step9_complete")? != 0,
            generated: row.get("generated")?,
            revision: row.get("revision")?,
            modules_revision: row.get("modules_revision")?,
            halted: row.get::<i64>("halted")? != 0,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }

    /// Its modules. They were checked when it was made.
    pub(crate) fn modules(&self) -> Result<Vec<Module>, DbError> {
        let (_, modules) =
            Self::check(&self.body).map_err(|reason| DbError::Column { column: "body".into(), reason })?;
        Ok(modules)
    }

    pub(crate) fn title(&self) -> &str {
        self.body.get("title").and_then(Value::as_str).unwrap_or_default()
    }

    /// The user whose workflow it is, where it says so.
    pub(crate) fn user(&self) -> Option<&str> {
        user_of(&self.body, self.owner.as_deref())
    }

    /// The language of its plans: the one that its `language` names, or else the one that it is written in.
    pub(crate) fn language(&self, modules: &[Module]) -> Language {
        if let Some(name) = self.body.get("language").and_then(Value::as_str) {
            return Language::named(name).unwrap_or_default();
        }
        let mut texts = vec![self.title()];
        for module in modules.iter().take(LANGUAGE_MODULES) {
            texts.extend([module.title.as_str(), module.description.as_str()]);
            texts.extend(module.outcomes.iter().take(LANGUAGE_MODULES).map(|it| it.statement.as_str()));
        }
        let beginning = |text: &str| text.chars().take(LANGUAGE_CHARS).collect::<String>();
        let texts: Vec<String> = texts.into_iter().map(beginning).collect();
        Language::of(&texts.iter().map(|text| (1, text.as_str())).collect::<Vec<_>>())
    }

    /// The workflow as its caller sees it: all that was given, and what the service knows of it.
    pub(crate) fn view(self) -> Value {
        let current_step = if self.generated > 0 { 10 } else { 9 };
        let mut view = self.body;
        let known = [
            ("_id", json!(self.id)),
            ("step9Complete", self.step9_complete.into()),
            ("currentStep", current_step.into()),
            ("createdAt", iso8601(self.created_at).into()),
            ("updatedAt", iso8601(self.updated_at).into()),
        ];
        view.extend(known.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(view)
    }

    /// The workflow after an edit: the fields that are given take the place of those of before, null removes one, and
    /// what the service says of it by itself is left alone.
    pub(crate) fn edited(&self, given: Map<String, Value>) -> Map<String, Value> {
        let mut body = self.body.clone();
        for (name, value) in given {
            match value {
                _ if OWN_FIELDS.contains(&name.as_str()) => {}
                Value::Null => drop(body.remove(&name)),
                value => drop(body.insert(name, value)),
            }
        }
        body
    }
}

impl Module {
    /// Checks module `index` of what a caller gave.
    pub(crate) fn check(index: usize, given: &Value) -> Result<Self, String> {
        let name = format!("modules[{index}]");
        let Value::Object(given) = given else { return Err(format!("{name} must be an object")) };
        let prefix = format!("{name}.");
        let code = required_text(given, "code", &prefix, MAX_CODE_CHARS)?;
        let title = required_text(given, "title", &prefix, MAX_TITLE_CHARS)?;
        let description = match given.get("description") {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) if text.chars().count() <= MAX_DESCRIPTION_CHARS => text.trim(),
            Some(Value::String(_)) => {
                return Err(format!(
                    "{prefix}description must be at most {MAX_DESCRIPTION_CHARS} characters"
                ));
            }
            Some(_) => return Err(format!("{prefix}description must be a text")),
        };
        let Some(contact_hours) = given.get("contactHours").and_then(Value::as_f64) else {
            return Err(format!("{prefix}contactHours must be a number"));
        };
        // Lessons are counted in whole minutes, and a module has at least one of them.
        if !(1.0 / 60.0..=MAX_HOURS).contains(&contact_hours) {
            return Err(format!("{prefix}contactHours must be more than 0 and at most {MAX_HOURS}"));
        }
        let id = own_id(given, &["moduleId", "id", "_id"], &name)?;
        Ok(Self {
            id: id.unwrap_or_else(|| format!("module-{index}")),
            code,
            title,
            description: clean(description),
            contact_hours,
            outcomes: outcomes(given, &prefix)?,
        })
    }

    /// True if it would be taught as the other is: its place in the workflow does not matter.
    pub(crate) fn is_taught_as(&self, other: &Self) -> bool {
        *self == Self { id: self.id.clone(), ..other.clone() }
    }

    /// The minutes of all its lessons.
    pub(crate) fn minutes(&self) -> u32 {
        // Checked to be from a minute to 500 hours.
        (self.contact_hours * 60.0).round() as u32
    }

    /// The minutes of each of its lessons.
    pub(crate) fn lesson_minutes(&self) -> Vec<u32> {
        lesson_minutes(self.minutes())
    }
}

/// The user whose workflow has this body, and came with the token of `owner`.
pub(crate) fn user_of<'a>(body: &'a Map<String, Value>, owner: Option<&'a str>) -> Option<&'a str> {
    let named = |field| body.get(field)?.as_str().filter(|user: &&str| !user.is_empty());
    OWNER_FIELDS.into_iter().find_map(named).or(owner)
}

fn outcomes(module: &Map<String, Value>, prefix: &str) -> Result<Vec<Outcome>, String> {
    let given = match module.get("outcomes") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(given)) if given.len() <= MAX_OUTCOMES => given,
        Some(Value::Array(_)) => return Err(format!("{prefix}outcomes must be at most {MAX_OUTCOMES}")),
        Some(_) => return Err(format!("{prefix}outcomes must be a list")),
    };
    given.iter().enumerate().map(|(index, given)| outcome(given, index, prefix)).collect()
}

/// A text, or an object with the text in one of the names that curricula use for it.
fn outcome(given: &Value, index: usize, prefix: &str) -> Result<Outcome, String> {
    let name = format!("{prefix}outcomes[{index}]");
    let text = |key: &str| given.get(key).and_then(Value::as_str);
    let statement = match given {
        Value::String(text) => Some(text.as_str()),
        _ => text("statement").or_else(|| text("outcome")).or_else(|| text("description")),
    };
    let Some(statement) = statement.map(clean).filter(|text| !text.is_empty()) else {
        return Err(format!("{name} must be a text"));
    };
    if statement.chars().count() > MAX_OUTCOME_CHARS {
        return Err(format!("{name} must be at most {MAX_OUTCOME_CHARS} characters"));
    }
    let id = given.as_object().map(|given| own_id(given, &["id", "code"], &name)).transpose()?.flatten();
    let id = id.unwrap_or_else(|| format!("MLO{}", index + 1));
    Ok(Outcome { id, statement })
}

/// The caller's own id of a thing, under the first of some names that has one.
fn own_id(given: &Map<String, Value>, names: &[&str], prefix: &str) -> Result<Option<String>, String> {
    let texts = names.iter().filter_map(|name| Some((name, given.get(*name)?.as_str()?.trim())));
    match texts.into_iter().find(|(_, id)| !id.is_empty()) {
        Some((name, id)) if id.chars().count() > MAX_ID_CHARS => {
            Err(format!("{prefix}.{name} must be at most {MAX_ID_CHARS} characters"))
        }
        found => Ok(found.map(|(_, id)| clean(id))),
    }
}

/// As it is written into plans: some databases take no NUL, and a line break belongs in no title.
fn clean(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    text.trim().to_owned()
}

fn required_text(
    of: &Map<String, Value>,
    field: &str,
    prefix: &str,
    max_chars: usize,
) -> Result<String, String> {
    match of.get(field) {
        None | Some(Value::Null) => Err(format!("{prefix}{field} is required")),
        Some(Value::String(text)) if clean(text).is_empty() => {
            Err(format!("{prefix}{field} cannot be empty"))
        }
        Some(Value::String(text)) if text.chars().count() > max_chars => {
            Err(format!("{prefix}{field} must be at most {max_chars} characters"))
        }
        Some(Value::String(text)) => Ok(clean(text).replace('\n', " ")),
        Some(_) => Err(format!("{prefix}{field} must be a text")),
    }
}

impl Hours {
    /// Of so many minutes, to the hundredth.
    pub(crate) fn of_minutes(minutes: u64) -> Self {
        let hundredths = (minutes as f64 / 60.0 * 100.0).round();
        Self(hundredths / 100.0)
    }
}

/// A whole number without a fraction: `150`, not `150.0`.
impl Serialize for Hours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < 1e15 {
            // It has just been seen to be whole and within bounds.
            return serializer.serialize_i64(self.0 as i64);
        }
        serializer.serialize_f64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_is_its_fields_users_and_else_its_tokens() {
        let owner = |body: Value, token| user_of(body.as_object().unwrap(), token).map(str::to_owned);
        assert_eq!(owner(json!({"title": "t"}), None), None);
        assert_eq!(owner(json!({"title": "t"}), Some("ada")).as_deref(), Some("ada"));
        assert_eq!(owner(json!({"userId": "bob", "owner": "eve"}), Some("ada")).as_deref(), Some("bob"));
        assert_eq!(
            owner(json!({"userId": 7, "user_id": "", "createdBy": "bob"}), None).as_deref(),
            Some("bob")
        );
    }
}
