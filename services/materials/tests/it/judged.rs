//! Questions whose answers are known, over the texts in `tests/judged` among the project's own documentation: the rank of
//! the right text by words alone and by words and meaning.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use longhaul::Clock;
use materials::text;
use service_support::Texts;

use crate::fixture::Fixture;

const TEXTS: &str = include_str!("../judged/texts.txt");
const QUESTIONS: &str = include_str!("../judged/questions.txt");

struct Question {
    answer: &'static str,
    text: &'static str,
}

fn questions(kind: &str) -> Vec<Question> {
    let lines = Texts::read(QUESTIONS).lines(kind);
    let split = |line: &'static str| line.split_once(" | ").unwrap();
    lines.into_iter().map(split).map(|(answer, text)| Question { answer, text }).collect()
}

/// The folder of the model, which `make test` fetches.
pub(crate) fn model() -> PathBuf {
    let binary = std::env::current_exe().unwrap();
    let target = binary.ancestors().nth(3).unwrap();
    let folder = target.join("models");
    assert!(
        folder.join("model.safetensors").is_file(),
        "run `scripts/fetch-model {}` first",
        folder.display()
    );
    folder
}

/// Every text a material, and beside them the documentation, in which nobody should find an answer.
async fn course(vars: &[(&'static str, String)]) -> (Fixture, String) {
    let f = Fixture::open(tempfile::tempdir().unwrap(), Clock::system(), vars).await;
    let course = f.course().await;
    let mut ids = Vec::new();
    for (name, text) in Texts::read(TEXTS).iter() {
        ids.push(f.uploaded(&course, &format!("{name}.txt"), text.as_bytes()).await);
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for folder in [docs.clone(), docs.join("services")] {
        for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|end| end == "md") {
                let name = format!("docs-{}", file.file_name().unwrap().display());
                ids.push(f.uploaded(&course, &name, &std::fs::read(file).unwrap()).await);
            }
        }
    }
    let _worker = f.work();
    for id in &ids {
        f.ended(id).await;
    }
    (f, course)
}

/// The mean reciprocal rank among the first ten, and how many are among the first three.
async fn judge(f: &Fixture, course: &str, questions: &[Question], report: &mut String) -> (f64, usize) {
    let (mut sum, mut hits) = (0.0, 0);
    for question in questions {
        let query: String = question.text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = f.get(&format!("/courses/{course}/materials/search?limit=10&query={query}")).await.json();
        let name = format!("{}.txt", question.answer);
        let rank = found.as_array().unwrap().iter().position(|result| result["name"] == name.as_str());
        sum += rank.map_or(0.0, |rank| 1.0 / (rank + 1) as f64);
        hits += usize::from(rank.is_some_and(|rank| rank < 3));
        if rank != Some(0) {
            writeln!(report, "   {rank:?}: {}", question.text).unwrap();
        }
    }
    let mean = sum / questions.len() as f64;
    writeln!(report, "MRR@10 {mean:.3}, {hits} of {} among the first three", questions.len()).unwrap();
    (mean, hits)
}

#[test]
fn a_paraphrase_shares_no_word_with_its_answer() {
    let texts = Texts::read(TEXTS);
    assert_eq!((questions("words").len(), questions("paraphrases").len()), (25, 15));
    for question in questions("paraphrases") {
        let held: HashSet<String> =
            text::tokens(texts.get(question.answer)).tokens.into_iter().map(|t| t.term).collect();
        let asked = text::query(question.text, text::Languages(1));
        let shared: Vec<_> =
            asked.iter().filter(|forms| forms.iter().any(|form| held.contains(form))).collect();
        assert!(shared.is_empty(), "{}: {shared:?}", question.text);
    }
}

#[tokio::test]
async fn the_local_model_finds_paraphrases_and_costs_other_questions_no_rank() {
    let mut report = String::new();
    let (f, course) = course(&[("EMBEDDING_BASE_URL", "none".into())]).await;
    let words = judge(&f, &course, &questions("words"), &mut report).await;
    let paraphrased = judge(&f, &course, &questions("paraphrases"), &mut report).await;
    let folder = model().display().to_string();
    let (f, course) = self::course(&[("EMBEDDING_MODEL_DIR", folder)]).await;
    let words_hybrid = judge(&f, &course, &questions("words"), &mut report).await;
    let paraphrased_hybrid = judge(&f, &course, &questions("paraphrases"), &mut report).await;
    println!("{report}");
    assert!(words.0 >= 0.98 && words.1 == 25, "{report}");
    assert!(words_hybrid.0 >= words.0 - 0.001 && words_hybrid.1 == 25, "{report}");
    assert!(paraphrased.0 < 0.3, "the set would not need meaning: {report}");
    assert!(paraphrased_hybrid.0 >= 0.75 && paraphrased_hybrid.1 >= 12, "{report}");
}

#[tokio::test]
async fn with_a_local_model_a_material_has_an_embedding_and_search_is_hybrid() {
    let folder = model().display().to_string();
    let f = Fixture::open(tempfile::tempdir().unwrap(), Clock::system(), &[("EMBEDDING_MODEL_DIR", folder)])
        .await;
    let course = f.course().await;
    let id = f.uploaded(&course, "cars.txt", b"The vehicle needs petrol.").await;
    let sea = f.uploaded(&course, "sea.txt", b"Rivers carry water towards oceans.").await;
    let _worker = f.work();
    for id in [&id, &sea] {
        assert_eq!(f.ended(id).await["has_embedding"], true);
    }
    let reply = f.get(&format!("/courses/{course}/materials/search?query=automobile%20fuel")).await;
    assert_eq!(reply.headers["search-mode"], "hybrid");
    assert_eq!(reply.json()[0]["material_id"], id);
    assert_eq!(reply.json().as_array().unwrap().len(), 1, "what is about something else is not found");
}
