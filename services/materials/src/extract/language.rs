use std::ffi::OsStr;

use super::tool::{Ending, Input, Run};
use super::{ExtractError, Limits};

/// The Debian package that brings a language of tesseract.
pub(super) fn package(language: &str) -> String {
    format!("tesseract-ocr-{}", language.to_lowercase().replace('_', "-"))
}

/// True for languages as tesseract writes them: `eng`, `eng+chi_sim`.
#[must_use]
pub fn is_list_of_languages(languages: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
            && !name.starts_with('-')
    };
    languages.split('+').all(is_name)
}

/// The languages of [`Limits::languages`] that are not installed, each with the Debian package that brings it:
/// `deu (tesseract-ocr-deu)`. Empty also where tesseract itself is missing.
pub async fn missing_languages(limits: &Limits) -> Vec<String> {
    let args = [OsStr::new("--list-langs")];
    let run = Run { tool: "tesseract", args: &args, input: Input::Nothing, output_bytes: 64 * 1024, limits };
    let Ok(Ending::Done(list, _)) = run.run().await else { return Vec::new() };
    let list = String::from_utf8_lossy(&list).into_owned();
    let languages = limits.languages.split('+');
    let missing = languages.filter(|language| !list.lines().any(|line| line.trim() == *language));
    missing.map(|language| format!("{language} ({})", package(language))).collect()
}

/// Tesseract names each language that it could not load, and goes on with the others, if there are any.
pub(super) fn missing(complaint: &str, languages: &str) -> ExtractError {
    let named = complaint.split("Failed loading language '").nth(1).and_then(|rest| rest.split('\'').next());
    let language = named.unwrap_or(languages).to_owned();
    let package = package(&language);
    ExtractError::LanguageMissing { language, package }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_written_as_tesseract_writes_them() {
        for good in ["eng", "eng+deu", "chi_sim+jpn_vert"] {
            assert!(is_list_of_languages(good), "{good}");
        }
        for bad in ["", "eng+", "eng,deu", "--psm", "../eng", "eng deu"] {
            assert!(!is_list_of_languages(bad), "{bad}");
        }
        assert_eq!(package("chi_sim"), "tesseract-ocr-chi-sim");
    }

    #[tokio::test]
    async fn a_language_that_is_not_installed_is_named_with_its_package() {
        let limits = Limits { languages: "eng+xqz_sim".to_owned(), ..Limits::default() };
        assert_eq!(missing_languages(&limits).await, ["xqz_sim (tesseract-ocr-xqz-sim)"]);
    }
}
