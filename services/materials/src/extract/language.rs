use std::path::Path;

use super::{ExtractError, Limits, missing_tools};

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

/// The needs of reading documents that this machine lacks, each with the Debian package that brings it: programs, the
/// character maps of Chinese, Japanese and Korean PDFs, and the languages of [`Limits::languages`]. Empty where all is
/// there.
#[must_use]
pub fn missing_parts(limits: &Limits) -> Vec<String> {
    let mut missing: Vec<String> = missing_tools().into_iter().map(str::to_owned).collect();
    if !MAPS.iter().any(|folder| Path::new(folder).is_dir()) {
        missing.push("character maps (poppler-data)".to_owned());
    }
    let named = std::env::var("TESSDATA_PREFIX").into_iter();
    let folders: Vec<String> = named.chain(TESSDATA.map(str::to_owned)).collect();
    if folders.iter().any(|folder| Path::new(folder).is_dir()) {
        let is_here = |language: &str| {
            let file = format!("{language}.traineddata");
            folders.iter().any(|folder| Path::new(folder).join(&file).is_file())
        };
        let absent = limits.languages.split('+').filter(|language| !is_here(language));
        missing.extend(absent.map(|language| format!("language {language} ({})", package(language))));
    }
    missing
}

/// The folders in which poppler looks for maps.
const MAPS: [&str; 2] = ["/usr/share/poppler/cMap", "/usr/local/share/poppler/cMap"];
/// The folders in which tesseract looks for languages.
const TESSDATA: [&str; 5] = [
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
];

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

    #[test]
    fn a_language_that_is_not_installed_is_named_with_its_package() {
        let limits = Limits { languages: "eng+xqz_sim".to_owned(), ..Limits::default() };
        assert_eq!(missing_parts(&limits), ["language xqz_sim (tesseract-ocr-xqz-sim)"]);
    }
}
