/// Words that mean the same to the double's "model", so that a test can tell a search by meaning from one by words.
const SYNONYMS: [(&str, &str); 4] =
    [("automobile", "vehicle"), ("sunshine", "light"), ("physician", "doctor"), ("foliage", "leaves")];

/// A bag of words, each counted at a place that its letters give: texts that share words, or synonyms, are close.
pub(crate) fn vector(text: &str, dimension: usize, seed: usize) -> Vec<f32> {
    let mut vector = vec![0.01_f32; dimension];
    for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 3) {
        let word = SYNONYMS.iter().find(|(from, _)| *from == word).map_or(word, |(_, to)| to);
        let place = word.bytes().fold(seed, |sum, byte| sum.wrapping_mul(131).wrapping_add(byte.into()));
        vector[place % dimension] += 1.0;
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::vector;

    #[test]
    fn synonyms_are_the_same_and_models_are_not() {
        assert_eq!(vector("An automobile", 64, 1), vector("the vehicle", 64, 1));
        assert_ne!(vector("An automobile", 64, 1), vector("a river", 64, 1));
        assert_ne!(vector("An automobile", 64, 1), vector("An automobile", 64, 2));
    }
}
