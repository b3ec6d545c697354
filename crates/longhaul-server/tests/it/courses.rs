//! The materials service as its users see it, and the documents that they upload.

use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::server::{Place, Server, client, ended};

/// A document of the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) bytes: &'static [u8],
    /// Words that stand in it side by side.
    pub(crate) says: &'static str,
}

pub(crate) const SCAN: Sample = Sample {
    name: "scanned-page.png",
    bytes: include_bytes!("../../../../services/materials/samples/scanned-page.png"),
    says: "stacks of flattened sacs",
};
pub(crate) const SCANNED_PDF: Sample = Sample {
    name: "scanned.pdf",
    bytes: include_bytes!("../../../../services/materials/samples/scanned.pdf"),
    says: "probably the most abundant protein in the world",
};

/// One user's course on a server.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    url: String,
    token: String,
    pub(crate) id: String,
}

impl Course {
    pub(crate) async fn create(place: &Place, server: &Server) -> Self {
        let course = Self { url: server.url.clone(), token: place.token("ada").await, id: String::new() };
        let request = client().post(course.at("/courses")).json(&json!({"name": "Botany"}));
        let (status, answer) = course.send(request).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        Self { id: text(&answer["id"]), ..course }
    }

    /// The same course on the server that came after.
    pub(crate) fn on(&self, server: &Server) -> Self {
        Self { url: server.url.clone(), ..self.clone() }
    }

    /// Uploads a document and answers the material's id, which makes it acknowledged; `None` where the server died
    /// before it answered.
    pub(crate) async fn upload(&self, sample: Sample) -> Option<String> {
        let part = Part::bytes(sample.bytes).file_name(sample.name);
        let request = client().post(self.at(&format!("/courses/{}/materials", self.id)));
        let request = request.multipart(Form::new().part("file", part)).bearer_auth(&self.token);
        let answer = request.send().await.ok()?;
        let status = answer.status();
        let body: Value = answer.json().await.ok()?;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        assert_eq!(body["processing_status"], "pending");
        Some(text(&body["id"]))
    }

    /// A material's job once it has ended: the job of an acknowledged upload is there.
    pub(crate) async fn ended(&self, material: &str) -> Value {
        ended(client().get(self.at(&format!("/api/jobs/{}", job_id(material)))).bearer_auth(&self.token))
            .await
    }

    /// A material's job as it is a second later, or once it has ended.
    pub(crate) async fn a_second_later(&self, material: &str) -> Value {
        let request = client().get(self.at(&format!("/api/jobs/{}", job_id(material))));
        self.send(request.header("prefer", "wait=1")).await.1
    }

    pub(crate) async fn material(&self, id: &str) -> Value {
        self.get(&format!("/materials/{id}")).await
    }

    pub(crate) async fn materials(&self) -> Vec<Value> {
        list(self.get(&format!("/courses/{}/materials", self.id)).await)
    }

    pub(crate) async fn search(&self, query: &str) -> Vec<Value> {
        list(
            self.get(&format!("/courses/{}/materials/search?limit=10&query={}", self.id, encoded(query)))
                .await,
        )
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.send(client().get(self.at(path))).await;
        assert_eq!(status, StatusCode::OK, "GET {path}: {answer}");
        answer
    }

    async fn send(&self, request: RequestBuilder) -> (StatusCode, Value) {
        let answer = request.bearer_auth(&self.token).send().await.expect("the server answers");
        (answer.status(), answer.json().await.expect("in JSON"))
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

/// The job that reads a material the first time.
pub(crate) fn job_id(material: &str) -> String {
    format!("materials-{material}")
}

fn encoded(query: &str) -> String {
    query.replace(' ', "+")
}

fn list(value: Value) -> Vec<Value> {
    serde_json::from_value(value).expect("a list")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
