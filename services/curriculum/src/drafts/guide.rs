use crate::model::{Bloom, CASE_STUDY};

/// How a lesson at one level of the taxonomy is taught; `{}` stands for what it is about.
pub(super) struct Guide {
    pub(super) objectives: [&'static str; 2],
    /// Title and text.
    pub(super) input: (&'static str, &'static str),
    /// Type, title and text.
    pub(super) main: (&'static str, &'static str, &'static str),
    /// The same for every second lesson of a topic at this level.
    pub(super) again: (&'static str, &'static str, &'static str),
    pub(super) sharing: (&'static str, &'static str),
    pub(super) materials: &'static [&'static str],
    /// What goes wrong at this level.
    pub(super) difficulty: &'static str,
    /// What helps those who are behind, and what those do who are ahead.
    pub(super) support: &'static str,
    pub(super) study: &'static [&'static str],
    /// Prompt and what to look for.
    pub(super) question: (&'static str, &'static str),
    pub(super) exit: (&'static str, &'static str),
}

/// The guide for a level.
pub(super) fn guide(level: Bloom) -> Guide {
    match level {
        Bloom::Remember => Guide {
            objectives: [
                "Name the terms that {} rests on and say what each means",
                "Recall the main facts about {} without notes",
            ],
            input: (
                "The terms, one by one",
                "Introduce the terms of {} one by one, each with an example and something that it is not. Students keep a \
                 glossary in their own words.",
            ),
            main: (
                "practice",
                "Retrieval in pairs",
                "In pairs, students ask each other for the terms and facts of {} with cards: one side the term, the other \
                 its meaning. Cards that were missed go back into the pile.",
            ),
            again: (
                "group_work",
                "Quiz of their own",
                "In groups, students write six questions on {} with their answers, two of them hard. Groups \
                 swap and answer without notes; whoever wrote a question judges the answer and says what is \
                 missing.",
            ),
            sharing: (
                "What did not stick",
                "The class names the terms that were missed most often and finds an example or a picture for each.",
            ),
            materials: &["Blank cards for the terms of {}", "Glossary sheet", "Slides with one term on each"],
            difficulty: "Students take recognising a term for knowing it; let them write before they look.",
            support: "Give a first letter or a picture as a hint to those who need it; who is done writes a \
                      question that joins two terms.",
            study: &[
                "Go through the cards on {} on two separate days and note which were missed.",
                "Find one of the terms in a text or a situation outside of class.",
            ],
            question: (
                "Give the meaning of one term of {} and an example that was not on the slides.",
                "The meaning in the student's own words, and an example that fits it.",
            ),
            exit: (
                "From memory: the three most important facts about {}.",
                "Three correct facts; note which one is missing most often.",
            ),
        },
        Bloom::Understand => Guide {
            objectives: [
                "Explain {} in their own words, with an example that was not given in class",
                "Tell {} apart from what is easily confused with it",
            ],
            input: (
                "From example to idea",
                "Begin with two examples of {} and one that only looks like it. Students say what the two have in common; \
                 only then name the idea and put it into one sentence on the board.",
            ),
            main: (
                "group_work",
                "Concept map",
                "In threes, students draw a map of {}: the terms as nodes, and on each line between two of them a verb \
                 that says how they hang together. Each group marks the line that it is least sure of.",
            ),
            again: (
                "presentation",
                "Teach it back",
                "Each student explains one part of {} to a partner who plays a newcomer and may only ask why. \
                 Then they swap roles. Parts that could not be explained go on the board.",
            ),
            sharing: (
                "Gallery walk",
                "The maps hang on the wall; each group adds a question to another group's map. The class settles \
                 the lines that were marked as unsure.",
            ),
            materials: &[
                "Two examples of {} and one that only looks like it",
                "Large paper and markers for the maps",
                "Summary sheet on {}",
            ],
            difficulty: "Students repeat the definition and cannot use it; ask for a new example each time.",
            support: "Give the nodes of the map to those who need a start; who is done adds a case at the border and \
                      argues on which side it lies.",
            study: &[
                "Explain {} in half a page to somebody who was not there.",
                "Write one example and one counter-example of {} and say why each is one.",
            ],
            question: (
                "Here is a new case: does it belong to {}? Say why.",
                "A reason that uses what makes the idea, and not only a likeness to the example.",
            ),
            exit: (
                "In two sentences: what belongs to {}, and what does not?",
                "Both halves are there, and the second names something that is really close to it.",
            ),
        },
        Bloom::Apply => Guide {
            objectives: [
                "Carry out a task on {} step by step and give the reason for each step",
                "Choose the right way to go about {} in a situation that is new",
            ],
            input: (
                "A worked example, thought aloud",
                "Work through one complete task on {} in front of the class and say at each step what you do and why. In a \
                 second one, stop before each step and let the class say it.",
            ),
            main: (
                "practice",
                "Guided practice",
                "Students solve three tasks on {}, each with less help than the one before: the first with all steps named, \
                 the second with the first step given, the third with none. Go round and ask for reasons.",
            ),
            again: (
                CASE_STUDY,
                "A task from outside",
                "Students work in pairs on {} in a situation taken from work or daily life, with facts that \
                 are not needed and one that is missing. They say what they need, decide how to go about it, \
                 carry it out and check the result.",
            ),
            sharing: (
                "Mistakes worth having",
                "Show two solutions with a mistake in them, without names. The class finds the step at which \
                 it went wrong and says what would have shown it.",
            ),
            materials: &[
                "Worked example on {}, with the reason for each step",
                "Worksheet with three tasks of falling support",
                "Solutions for self-checking",
            ],
            difficulty: "Students follow the steps without knowing when they hold; ask for the reason, not the result.",
            support: "Give step cards to be put in order to those who are stuck; who is done makes up a task on which \
                      the usual way fails.",
            study: &[
                "Solve two more tasks on {} and write the reason beside each step.",
                "Correct your own solution of the third task with the solutions sheet.",
            ],
            question: (
                "What is the next step in this task on {}, and why this one?",
                "The step and a reason; the step alone may have been guessed.",
            ),
            exit: (
                "One short task on {}: solve it and underline the step that matters most.",
                "The way is right even where the result is not; note which step fails.",
            ),
        },
        Bloom::Analyze => Guide {
            objectives: [
                "Take a case of {} apart and show how its parts act on each other",
                "Separate what a case on {} shows from what is only assumed in it",
            ],
            input: (
                "How to read a case",
                "Show with a short case how it is read: what is known, what is assumed, who wants what, what is missing. Leave \
                 the questions on the board; they serve for every case on {}.",
            ),
            main: (
                CASE_STUDY,
                "Case study",
                "In groups of four, students work on a case of {} with the questions on the board: facts, assumptions, causes, \
                 what would have to be known. Each group writes down one finding and the evidence for it.",
            ),
            again: (
                "group_work",
                "Two cases side by side",
                "Groups get two cases of {} that look alike and end differently. They look for the difference \
                 that explains the ends, and for a third case on which the explanation could be tested.",
            ),
            sharing: (
                "Finding against finding",
                "Groups present their finding in a minute each. The class asks of each: which fact carries it, \
                 and what else could explain that fact?",
            ),
            materials: &[
                "Case on {}, one page",
                "Question sheet: facts, assumptions, causes, gaps",
                "Board or wall for the findings",
            ],
            difficulty: "Students tell the case again instead of taking it apart; ask for the one fact that changes the \
                         finding.",
            support: "Mark the facts in the text for those who need it; who is done changes one fact and works out what \
                      follows.",
            study: &[
                "Write the analysis of the case on {} on one page: finding, evidence, what remains open.",
                "Find a second case and note in what it differs.",
            ],
            question: (
                "Name one assumption in the case on {} and say how it could be tested.",
                "It is an assumption and not a fact, and the test could turn out against it.",
            ),
            exit: (
                "Which part of the case on {} carries the rest? One sentence, with a reason.",
                "A part, a relation to another part, and evidence from the case.",
            ),
        },
        Bloom::Evaluate => Guide {
            objectives: [
                "Judge work on {} against stated criteria and defend the judgement",
                "Weigh two ways of going about {} and recommend one for a given situation",
            ],
            input: (
                "From opinion to criteria",
                "Show two pieces of work on {} and let the class say which is better. Collect the reasons, and turn them into \
                 criteria that others could apply too.",
            ),
            main: (
                CASE_STUDY,
                "Decide and defend",
                "Groups get a situation in which a choice about {} has to be made. They rate each choice by the criteria, decide, \
                 and prepare the strongest objection to their own decision.",
            ),
            again: (
                "group_work",
                "Peer review",
                "Students exchange a piece of their own work on {} and rate it by the criteria, with evidence \
                 for each rating. Where two reviewers differ, they agree on what the criterion asks for.",
            ),
            sharing: (
                "Objection and answer",
                "Each group hears the objection of another one and answers it. The class notes where a \
                 criterion was missing.",
            ),
            materials: &[
                "Two pieces of work on {} of different quality",
                "Rubric with room for the class's own criteria",
                "Situation with two or three choices",
            ],
            difficulty: "Students decide first and look for reasons after; let them rate before they talk.",
            support: "Give two criteria to those who need a start; who is done weighs the criteria and shows when the \
                      decision would turn.",
            study: &[
                "Rate your own last piece of work on {} by the rubric and name the next thing to improve.",
                "Write the recommendation on half a page, with the objection and your answer.",
            ],
            question: (
                "By which criterion does one choice about {} beat the other?",
                "A criterion that could be applied by somebody else, and evidence for the rating.",
            ),
            exit: (
                "Your recommendation on {} in two sentences: what, and by which criterion.",
                "The criterion decides between the choices; a reason that fits both is none.",
            ),
        },
        Bloom::Create => Guide {
            objectives: [
                "Produce a piece of work on {} that meets a given brief",
                "Improve their own work on {} from the feedback of others",
            ],
            input: (
                "The brief and what makes it good",
                "Read the brief for a piece of work on {} together: for whom, for what, within which limits. Look at one \
                 example and mark what makes it work.",
            ),
            main: (
                "group_work",
                "Workshop",
                "In pairs, students draft a piece of work on {}: first three rough ideas, then one of them carried out as far as time \
                 allows. Half-way, each pair shows its draft to another one and gets one question back.",
            ),
            again: (
                "presentation",
                "Second version",
                "Pairs take their work on {} up again: they choose the two most useful remarks from the last \
                 feedback, revise by them, and present the old and the new version side by side.",
            ),
            sharing: (
                "Feedback by the brief",
                "Pairs present what they have. Feedback names one thing that meets the brief and one that does \
                 not yet, and nothing else.",
            ),
            materials: &[
                "Brief for a piece of work on {}",
                "Example to be marked up",
                "Feedback sheet by the brief",
            ],
            difficulty: "Students polish the first idea; insist on three rough ones before any is carried out.",
            support: "Give a template to those who are stuck; who is done makes a second version for other readers.",
            study: &[
                "Revise the draft on {} by the feedback and note what was changed and why.",
                "Write what you would do next with another week.",
            ],
            question: (
                "Which limit of the brief shaped your work on {} most?",
                "A limit of the brief and a decision that came of it.",
            ),
            exit: (
                "What will you change first in your work on {}, and why?",
                "One change that the brief or the feedback asks for.",
            ),
        },
    }
}
