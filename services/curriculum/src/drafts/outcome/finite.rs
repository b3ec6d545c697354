//! The infinitives that a finite form can be of: `analyseront`, `analiza` and `vergleicht` say what learners do.

use service_support::Language;

/// Endings of finite forms, and what infinitives have in their place.
const SPANISH: [(&str, &str); 10] = [
    ("án", ""),
    ("á", ""),
    ("é", ""),
    ("emos", ""),
    ("an", "ar"),
    ("a", "ar"),
    ("en", "er"),
    ("e", "er"),
    ("en", "ir"),
    ("e", "ir"),
];
const FRENCH: [(&str, &str); 16] = [
    ("ont", ""),
    ("a", ""),
    ("ai", ""),
    ("ons", ""),
    ("ez", ""),
    ("ont", "e"),
    ("a", "e"),
    ("ent", "er"),
    ("e", "er"),
    ("issent", "ir"),
    ("it", "ir"),
    ("it", "ire"),
    ("ivent", "ire"),
    ("isent", "ire"),
    ("ennent", "endre"),
    ("d", "dre"),
];
const GERMAN: [(&str, &str); 6] =
    [("", ""), ("et", "en"), ("t", "en"), ("t", "n"), ("e", "en"), ("st", "en")];
/// Vowels of stems that change where the stress falls on them.
const SPANISH_STEMS: [(&str, &str); 5] = [("ue", "o"), ("ie", "e"), ("ú", "u"), ("i", "e"), ("uy", "u")];
const FRENCH_STEMS: [(&str, &str); 2] = [("è", "é"), ("oi", "oy")];

/// Words of which one may be the infinitive of a form.
pub(super) fn infinitives(word: &str, language: Language) -> Vec<String> {
    let (endings, stems): (&[_], &[_]) = match language {
        Language::Es => (&SPANISH, &SPANISH_STEMS),
        Language::Fr => (&FRENCH, &FRENCH_STEMS),
        Language::De => (&GERMAN, &[]),
        Language::En | Language::Hi => return Vec::new(),
    };
    let mut forms = Vec::new();
    for (ending, infinitive) in endings {
        let Some(stem) = word.strip_suffix(ending).filter(|stem| !stem.is_empty()) else { continue };
        forms.push(format!("{stem}{infinitive}"));
        for (changed, vowel) in stems {
            if let Some((before, after)) = stem.rsplit_once(changed) {
                forms.push(format!("{before}{vowel}{after}{infinitive}"));
            }
        }
    }
    forms
}
