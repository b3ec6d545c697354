//! Traditional Sanskrit verses, each with what it means and where it stands. All are centuries old and belong to nobody;
//! the translations were made for this list.

use super::chosen;
use super::field::Field;

/// A verse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verse {
    pub(crate) text: &'static str,
    pub(crate) translation: &'static str,
    /// Where it stands; a subhashita is a verse that is handed down without an author.
    pub(crate) source: &'static str,
    /// What it is about beside learning itself; empty where it fits every subject.
    fields: &'static [Field],
}

/// The verse for a topic: one of its field where there is any, and always the same one.
pub(crate) fn verse(subject: &str, topic: &str) -> &'static Verse {
    let field = Field::of(subject, topic);
    let mut fitting: Vec<&Verse> = VERSES.iter().filter(|verse| verse.fields.contains(&field)).collect();
    if fitting.is_empty() {
        fitting = VERSES.iter().filter(|verse| verse.fields.is_empty()).collect();
    }
    fitting[chosen(fitting.len(), &[subject, topic])]
}

const VERSES: [Verse; 20] = [
    Verse {
        text: "विद्या ददाति विनयं विनयाद्याति पात्रताम् ।\nपात्रत्वाद्धनमाप्नोति धनाद्धर्मं ततः सुखम् ॥",
        translation: "Learning gives humility, and from humility comes worthiness; the worthy come by wealth, by wealth \
                      do what is right, and from that comes happiness.",
        source: "Hitopadesha, prologue",
        fields: &[],
    },
    Verse {
        text: "न चोरहार्यं न च राजहार्यं न भ्रातृभाज्यं न च भारकारि ।\nव्यये कृते वर्धत एव नित्यं विद्याधनं सर्वधनप्रधानम् ॥",
        translation: "No thief can steal it and no king take it away, brothers do not divide it and it weighs nothing; \
                      spent, it always grows: the wealth of learning is the first of all wealth.",
        source: "subhashita",
        fields: &[],
    },
    Verse {
        text: "आचार्यात् पादमादत्ते पादं शिष्यः स्वमेधया ।\nपादं सब्रह्मचारिभ्यः पादं कालक्रमेण च ॥",
        translation: "A quarter the pupil takes from the teacher, a quarter by his own wit, a quarter from fellow \
                      pupils, and a quarter in the course of time.",
        source: "subhashita",
        fields: &[],
    },
    Verse {
        text: "उद्यमेन हि सिध्यन्ति कार्याणि न मनोरथैः ।\nन हि सुप्तस्य सिंहस्य प्रविशन्ति मुखे मृगाः ॥",
        translation: "Works succeed by effort and not by wishes: no deer walk into the mouth of a sleeping lion.",
        source: "Hitopadesha, prologue",
        fields: &[],
    },
    Verse {
        text: "शनैः पन्थाः शनैः कन्था शनैः पर्वतलङ्घनम् ।\nशनैर्विद्या शनैर्वित्तं पञ्चैतानि शनैः शनैः ॥",
        translation: "Step by step the road, stitch by stitch the quilt, step by step over the mountain; so learning, so \
                      wealth: these five come little by little.",
        source: "subhashita",
        fields: &[],
    },
    Verse {
        text: "काकचेष्टा बकध्यानं श्वाननिद्रा तथैव च ।\nअल्पाहारी गृहत्यागी विद्यार्थी पञ्चलक्षणम् ॥",
        translation: "The striving of the crow, the stillness of the heron, the light sleep of the dog, little food and \
                      leaving home: these are the five marks of a student.",
        source: "subhashita",
        fields: &[],
    },
    Verse {
        text: "सह नाववतु । सह नौ भुनक्तु । सह वीर्यं करवावहै ।\nतेजस्वि नावधीतमस्तु । मा विद्विषावहै ॥",
        translation: "May we both, teacher and pupil, be protected; may we both be nourished; may we work together with \
                      vigour; may our study shine; may we not fall out with each other.",
        source: "invocation of the Taittiriya Upanishad",
        fields: &[],
    },
    Verse {
        text: "उत्तिष्ठत जाग्रत प्राप्य वरान्निबोधत ।\nक्षुरस्य धारा निशिता दुरत्यया दुर्गं पथस्तत्कवयो वदन्ति ॥",
        translation: "Arise, awake, go to the best teachers and learn. Sharp as the edge of a razor, hard to walk and hard \
                      to cross is that path, say the wise.",
        source: "Katha Upanishad 1.3.14",
        fields: &[],
    },
    Verse {
        text: "तद्विद्धि प्रणिपातेन परिप्रश्नेन सेवया ।\nउपदेक्ष्यन्ति ते ज्ञानं ज्ञानिनस्तत्त्वदर्शिनः ॥",
        translation: "Learn it by reverence, by asking again and again, and by service; those who know and who have seen \
                      how things are will teach you.",
        source: "Bhagavad Gita 4.34",
        fields: &[],
    },
    Verse {
        text: "यद्यपि बहु नाधीषे तथापि पठ पुत्र व्याकरणम् ।\nस्वजनः श्वजनो मा भूत् सकलं शकलं सकृच्छकृत् ॥",
        translation: "Even if you do not study much, my son, study grammar: lest your own people (svajana) become dogs \
                      (shvajana), the whole (sakala) a splinter (shakala), and once (sakrit) dung (shakrit).",
        source: "subhashita",
        fields: &[Field::Language],
    },
    Verse {
        text: "यथा शिखा मयूराणां नागानां मणयो यथा ।\nतद्वद्वेदाङ्गशास्त्राणां गणितं मूर्ध्नि स्थितम् ॥",
        translation: "As the crests of peacocks, as the jewels of serpents, so stands calculation at the head of all the \
                      sciences that serve the Veda.",
        source: "Vedanga Jyotisha",
        fields: &[Field::Mathematics, Field::Computing],
    },
    Verse {
        text: "तत्सवितुर्वरेण्यं भर्गो देवस्य धीमहि ।\nधियो यो नः प्रचोदयात् ॥",
        translation: "May we attain to that excellent light of the god Savitri, the sun, who shall set our thoughts in \
                      motion.",
        source: "Rigveda 3.62.10",
        fields: &[Field::Nature],
    },
    Verse {
        text: "दशकूपसमा वापी दशवापीसमो ह्रदः ।\nदशह्रदसमः पुत्रो दशपुत्रसमो द्रुमः ॥",
        translation: "A pond is worth ten wells, a lake ten ponds; a son is worth ten lakes, and a tree ten sons.",
        source: "Matsya Purana",
        fields: &[Field::Nature],
    },
    Verse {
        text: "अपि क्रियार्थं सुलभं समित्कुशं जलान्यपि स्नानविधिक्षमाणि ते ।\nअपि स्वशक्त्या तपसि प्रवर्तसे शरीरमाद्यं खलु धर्मसाधनम् ॥",
        translation: "Are wood and grass for your rites easily found, and is the water fit for bathing? Do you practise \
                      within your strength? For the body is the first means to everything that is right.",
        source: "Kalidasa, Kumarasambhava 5.33",
        fields: &[Field::Health],
    },
    Verse {
        text: "अयं निजः परो वेति गणना लघुचेतसाम् ।\nउदारचरितानां तु वसुधैव कुटुम्बकम् ॥",
        translation: "“This one is ours, that one a stranger” is how small minds count; to those who live nobly the whole \
                      earth is one family.",
        source: "Hitopadesha, book 1",
        fields: &[Field::Society],
    },
    Verse {
        text: "साहित्यसङ्गीतकलाविहीनः साक्षात्पशुः पुच्छविषाणहीनः ।\nतृणं न खादन्नपि जीवमानस्तद्भागधेयं परमं पशूनाम् ॥",
        translation: "Without letters, music and art a man is plainly a beast, only without tail and horns; that he lives \
                      without eating grass is the great good luck of the beasts.",
        source: "Bhartrihari, Nitishataka",
        fields: &[Field::Art],
    },
    Verse {
        text: "क्षणशः कणशश्चैव विद्यामर्थं च साधयेत् ।\nक्षणे नष्टे कुतो विद्या कणे नष्टे कुतो धनम् ॥",
        translation: "Moment by moment and grain by grain gather learning and wealth; where moments are lost, whence \
                      learning? Where grains are lost, whence wealth?",
        source: "subhashita",
        fields: &[Field::Economy],
    },
    Verse {
        text: "असतो मा सद्गमय ।\nतमसो मा ज्योतिर्गमय ।\nमृत्योर्मामृतं गमय ॥",
        translation: "From the unreal lead me to the real; from darkness lead me to light; from death lead me to what does \
                      not die.",
        source: "Brihadaranyaka Upanishad 1.3.28",
        fields: &[Field::Wisdom],
    },
    Verse {
        text: "न हि ज्ञानेन सदृशं पवित्रमिह विद्यते ।\nतत्स्वयं योगसंसिद्धः कालेनात्मनि विन्दति ॥",
        translation: "Nothing in this world makes as clean as knowledge; who is made perfect by practice finds it, in time, \
                      within.",
        source: "Bhagavad Gita 4.38",
        fields: &[Field::Wisdom],
    },
    Verse {
        text: "विद्या नाम नरस्य रूपमधिकं प्रच्छन्नगुप्तं धनं विद्या भोगकरी यशःसुखकरी विद्या गुरूणां गुरुः ।\nविद्या बन्धुजनो विदेशगमने विद्या परा देवता विद्या राजसु पूज्यते न हि धनं विद्याविहीनः पशुः ॥",
        translation: "Learning is a person's greater beauty and a treasure well hidden; it brings enjoyment, good name \
                      and happiness, and is the teacher of teachers. It is kin to whoever travels abroad, and the highest \
                      deity; kings honour learning and not wealth, and who has none of it is a beast.",
        source: "Bhartrihari, Nitishataka",
        fields: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verse_is_sanskrit_with_a_meaning_and_a_source() {
        for verse in &VERSES {
            let is_devanagari = |c: char| ('\u{900}'..='\u{97f}').contains(&c) || c.is_whitespace();
            assert!(verse.text.chars().all(is_devanagari), "{}", verse.text);
            assert!(verse.text.ends_with('॥'), "{}", verse.text);
            assert!(verse.translation.ends_with(['.', '?']) && !verse.source.is_empty(), "{}", verse.text);
        }
    }

    #[test]
    fn a_verse_fits_its_subject_and_does_not_change() {
        assert!(verse("English", "verbs").text.contains("व्याकरणम्"));
        assert!(verse("maths", "fractions").text.contains("गणितं"));
        assert_eq!(verse("Cooking", "Bread"), verse("cooking", "bread"));
        let fields = [
            "english",
            "math",
            "science",
            "health",
            "history",
            "music",
            "ethics",
            "economics",
            "programming",
            "cooking",
        ];
        for subject in fields {
            let field = Field::of(subject, "");
            let verse = verse(subject, "anything");
            assert!(verse.fields.is_empty() || verse.fields.contains(&field), "{subject}");
        }
    }
}
