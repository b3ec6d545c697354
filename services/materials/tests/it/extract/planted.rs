//! The words that are planted in the small documents of this repository.

use super::{document, text_of};

#[tokio::test]
async fn of_the_words_planted_in_the_samples_at_least_ninety_nine_of_a_hundred_are_found() {
    let list = std::fs::read_to_string(document("planted.tsv")).unwrap();
    let (mut planted, mut missing) = (0, Vec::new());
    for line in list.lines() {
        let (name, words) = line.split_once('\t').unwrap();
        let text = text_of(name).await;
        for word in words.split('\t') {
            planted += 1;
            if !text.contains(word) {
                missing.push((name, word));
            }
        }
    }
    assert!(planted > 150 && missing.len() * 100 <= planted, "{planted} planted, without {missing:?}");
}
