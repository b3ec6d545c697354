//! Outcomes as people write them, with the verb's level and what they are about.

use super::*;

#[track_caller]
fn check(language: Language, table: &[(&str, Option<Bloom>, &str)]) {
    for (statement, level, object) in table {
        let parsed = parse(statement, language);
        assert_eq!((parsed.level, parsed.object.as_str()), (*level, *object), "{statement}");
    }
}

#[test]
fn usual_phrasings_are_read() {
    use Bloom::{Analyze, Apply, Create, Evaluate, Remember, Understand};
    check(
        Language::En,
        &[
            ("Explain the water cycle.", Some(Understand), "the water cycle"),
            ("Students will explain the water cycle", Some(Understand), "the water cycle"),
            ("Students will be able to describe, and apply Ohm's law", Some(Apply), "Ohm's law"),
            (
                "By the end of this module, students will be able to analyse and evaluate sources.",
                Some(Evaluate),
                "sources",
            ),
            (
                "By the end of the course students should be able to compare political systems",
                Some(Analyze),
                "political systems",
            ),
            ("The student can solve linear equations", Some(Apply), "linear equations"),
            ("The student explains the role of enzymes", Some(Understand), "the role of enzymes"),
            (
                "Learners should be able to distinguish between mitosis and meiosis",
                Some(Analyze),
                "mitosis and meiosis",
            ),
            (
                "Upon completion of this unit, the learner will have the ability to design a database",
                Some(Create),
                "a database",
            ),
            (
                "Upon successful completion, participants will: identify risks at work",
                Some(Remember),
                "risks at work",
            ),
            ("After this lesson you will know how to write a function", Some(Create), "a function"),
            ("To understand the causes of World War I", Some(Understand), "the causes of World War I"),
            ("I can name the planets", Some(Remember), "the planets"),
            ("Be able to critically evaluate research articles", Some(Evaluate), "research articles"),
            ("1. Define inflation", Some(Remember), "inflation"),
            ("(a) Define inflation", Some(Remember), "inflation"),
            ("2.3 Define inflation", Some(Remember), "inflation"),
            ("• Students can apply the chain rule", Some(Apply), "the chain rule"),
            ("LO1: Explain supply and demand", Some(Understand), "supply and demand"),
            ("Outcome 2 – Justify the choice of a method", Some(Evaluate), "the choice of a method"),
            ("Demonstrate an understanding of human rights", Some(Understand), "human rights"),
            ("Students will gain an understanding of the cell", Some(Understand), "the cell"),
            ("Understanding the water cycle", Some(Understand), "the water cycle"),
            (
                "Design a schema for a small business and justify the choices made",
                Some(Create),
                "a schema for a small business",
            ),
            (
                "Explain software design and test strategies",
                Some(Understand),
                "software design and test strategies",
            ),
            ("Use models to predict weather", Some(Apply), "models to predict weather"),
            ("Students are expected to carry out an experiment", Some(Apply), "an experiment"),
            ("Reflect on their own teaching", Some(Evaluate), "their own teaching"),
            ("Order of operations", None, "Order of operations"),
            ("Programming languages", None, "Programming languages"),
            ("Family law", None, "Family law"),
            ("Children's literature", None, "Children's literature"),
            ("Analyse", Some(Analyze), "Analyse"),
            ("Graduates of this programme will be able to design bridges", Some(Create), "bridges"),
            ("Recognises and names 2D shapes", Some(Remember), "2D shapes"),
            ("Reading and interpreting graphs", Some(Apply), "graphs"),
            (
                "Applying Newton's laws to real-world problems",
                Some(Apply),
                "Newton's laws to real-world problems",
            ),
            ("SWBAT identify the main idea of a text", Some(Remember), "the main idea of a text"),
            ("The learner will: 1) identify hazards", Some(Remember), "hazards"),
            ("Students will develop skills in critical thinking", Some(Apply), "critical thinking"),
            ("Ability to conduct experiments, as well as to analyze data", Some(Analyze), "experiments"),
            ("Debug a program, write tests and document the work", Some(Create), "a program"),
            ("Solve, and check, linear equations", Some(Evaluate), "linear equations"),
            ("to", None, "to"),
            ("…", None, "…"),
            ("By 1900, trains ran everywhere", None, "By 1900, trains ran everywhere"),
            ("COMPARE AND CONTRAST PROSE AND POETRY", Some(Analyze), "PROSE AND POETRY"),
        ],
    );
}

#[test]
fn other_languages_are_read() {
    use Bloom::{Analyze, Apply, Create, Evaluate, Understand};
    check(
        Language::De,
        &[
            ("Die Studierenden können die Photosynthese erklären.", Some(Understand), "die Photosynthese"),
            (
                "Am Ende des Moduls können die Lernenden Quellen analysieren und bewerten",
                Some(Evaluate),
                "Quellen",
            ),
            (
                "Die Schülerinnen und Schüler sind in der Lage, lineare Gleichungen zu lösen",
                Some(Apply),
                "lineare Gleichungen",
            ),
            ("Eine Datenbank entwerfen", Some(Create), "Eine Datenbank"),
            ("Den Dreisatz anzuwenden", Some(Apply), "Den Dreisatz"),
            ("Bruchrechnung", None, "Bruchrechnung"),
        ],
    );
    check(
        Language::Es,
        &[
            (
                "Al finalizar el módulo, el estudiante será capaz de analizar textos literarios.",
                Some(Analyze),
                "textos literarios",
            ),
            (
                "Los alumnos podrán explicar y aplicar el teorema de Pitágoras",
                Some(Apply),
                "el teorema de Pitágoras",
            ),
            ("Diseñar una base de datos", Some(Create), "una base de datos"),
        ],
    );
    check(
        Language::Fr,
        &[
            (
                "À la fin du module, l’étudiant sera capable d’expliquer la photosynthèse.",
                Some(Understand),
                "la photosynthèse",
            ),
            ("Les élèves sauront analyser et évaluer des sources", Some(Evaluate), "des sources"),
            ("Concevoir l'architecture d'un site", Some(Create), "l'architecture d'un site"),
        ],
    );
    check(
        Language::Hi,
        &[
            ("छात्र प्रकाश संश्लेषण की व्याख्या कर सकेंगे।", Some(Understand), "प्रकाश संश्लेषण"),
            ("इस मॉड्यूल के अंत में विद्यार्थी स्रोतों का मूल्यांकन करने में सक्षम होंगे", Some(Evaluate), "स्रोतों"),
        ],
    );
}

#[test]
fn finite_verbs_are_read_where_the_learners_stand_beside_them() {
    use Bloom::{Analyze, Apply, Create, Evaluate, Remember, Understand};
    check(
        Language::En,
        &[
            ("Students will be able to (SWBAT) design an experiment", Some(Create), "an experiment"),
            ("Students will have the opportunity to create a podcast", Some(Create), "a podcast"),
            (
                "Critically evaluate sorting algorithms and implement quicksort in Python",
                Some(Evaluate),
                "sorting algorithms",
            ),
            ("Students can: identify nouns; classify verbs", Some(Understand), "nouns, verbs"),
            ("[K3] Define inflation", Some(Remember), "inflation"),
            ("Define inflation [K3]", Some(Remember), "inflation"),
            ("Students should not confuse mass and weight", Some(Analyze), "mass and weight"),
            ("Pupils should not mix up area and perimeter", Some(Analyze), "area and perimeter"),
            ("Students will have a chance to design a poster", Some(Create), "a poster"),
            ("List the planets; describe their orbits", Some(Understand), "the planets, their orbits"),
            ("[CO2] Solve linear equations", Some(Apply), "linear equations"),
            ("Explain photosynthesis and apply formulas", Some(Apply), "photosynthesis"),
        ],
    );
    check(
        Language::De,
        &[
            ("Am Ende der Einheit analysieren die Lernenden Diagramme", Some(Analyze), "Diagramme"),
            ("Die Schüler vergleichen Pflanzen- und Tierzellen", Some(Analyze), "Pflanzen- und Tierzellen"),
            ("Die Studierenden entwickeln ein eigenes Programm", Some(Create), "ein eigenes Programm"),
            ("Ich kann erklären, wie Pflanzen atmen", Some(Understand), "wie Pflanzen atmen"),
            ("SuS bewerten Quellen kritisch", Some(Evaluate), "Quellen"),
            ("Die SuS wenden den Satz des Pythagoras an", Some(Apply), "den Satz des Pythagoras"),
            ("Die Schülerin berechnet den Umfang", Some(Apply), "den Umfang"),
            ("Ich erkläre den Wasserkreislauf", Some(Understand), "den Wasserkreislauf"),
            ("Die Lernenden führen einen Versuch durch", Some(Apply), "einen Versuch"),
            ("Die Schülerinnen und Schüler nennen die Planeten", Some(Remember), "die Planeten"),
            ("Der Student entwickelt ein Modell", Some(Create), "ein Modell"),
        ],
    );
    check(
        Language::Es,
        &[
            (
                "Al finalizar, los alumnos compararán células animales y vegetales",
                Some(Analyze),
                "células animales y vegetales",
            ),
            ("El estudiante analiza textos", Some(Analyze), "textos"),
            ("El alumnado aplicará la regla", Some(Apply), "la regla"),
            ("Los estudiantes resuelven ecuaciones", Some(Apply), "ecuaciones"),
            ("La alumna describe el ciclo del agua", Some(Understand), "el ciclo del agua"),
            ("El alumno evalúa fuentes", Some(Evaluate), "fuentes"),
            ("Los alumnos diseñarán un experimento", Some(Create), "un experimento"),
            ("El estudiante identifica las partes", Some(Remember), "las partes"),
        ],
    );
    check(
        Language::Fr,
        &[
            ("Les élèves analyseront un texte", Some(Analyze), "un texte"),
            ("L'élève applique la règle", Some(Apply), "la règle"),
            ("Les étudiants comprendront la méthode", Some(Understand), "la méthode"),
            ("L'élève définit les termes", Some(Remember), "les termes"),
            ("Les élèves décrivent une plante", Some(Understand), "une plante"),
            ("L'étudiant évaluera des sources", Some(Evaluate), "des sources"),
            ("Les élèves créent une affiche", Some(Create), "une affiche"),
        ],
    );
    check(
        Language::Hi,
        &[
            ("पाठ के अंत में छात्र प्रयोग की रचना करने में सक्षम होंगे", Some(Create), "प्रयोग"),
            ("छात्र कहानी की रचना कर सकेंगे", Some(Create), "कहानी"),
            ("विद्यार्थी दो कविताओं की तुलना करेंगे", Some(Analyze), "दो कविताओं"),
            ("पाठ के अंत में विद्यार्थी समीकरण हल करेंगे", Some(Apply), "समीकरण"),
            ("शिक्षार्थी उपयोग की योजना बनाएँगे", Some(Create), "उपयोग"),
            ("छात्र स्रोतों का विश्लेषण और मूल्यांकन करेंगे", Some(Evaluate), "स्रोतों"),
        ],
    );
}
