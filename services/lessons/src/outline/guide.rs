use super::Parts;
use super::field::Field;
use crate::draft::LessonDraft;

/// A lesson for whom no article is at hand: how to find out, and nothing that might be wrong.
pub(super) fn to_finding_out(draft: &LessonDraft) -> Parts {
    let LessonDraft { subject, topic, wikipedia } = draft;
    let field = Field::of(subject, topic);
    let reason = match wikipedia.as_ref().map(|info| info.note.as_deref()) {
        None => "Wikipedia was not to be asked".to_owned(),
        Some(note) => note.unwrap_or("Wikipedia has no article that fits").to_owned(),
    };
    let questions: Vec<String> =
        questions(field).iter().map(|ask| format!("- {}", ask.replace('@', topic))).collect();
    let explanation = format!(
        "This is an outline, made without a language model, and no article was at hand for it ({reason}). So it does not \
         tell you what to believe about {topic}: it shows you how to find out, which lasts longer.\n\n\
         Begin with what you know. Write one sentence that tells a stranger what {topic} means, without looking anything up. It will be \
         incomplete, and that is its use: everything you read from here on either confirms a word of it or corrects one.\n\n\
         Then let these questions lead you. In {subject} they open most doors:\n{}\n\n\
         Answer each from two sources that do not copy from each other: your textbook and a person, an encyclopedia and \
         an observation of your own. Where the two differ you have found the interesting part of {topic}.\n\n\
         At the end write your first sentence anew. The distance between the two is what you have learned.",
        questions.join("\n"),
    );
    Parts { explanation, activity: activity(field, topic), question: question(field, topic) }
}

/// What to do with a topic of a field.
pub(super) fn activity(field: Field, topic: &str) -> String {
    let steps: [&str; 3] = match field {
        Field::Language => [
            "Take a page of a book that you like and mark every place where @ matter.",
            "Choose three of them and change each one. Read the sentence aloud before and after.",
            "Write down the rule that you seem to follow without having been told, and look for a sentence that breaks it.",
        ],
        Field::Mathematics => [
            "Make the smallest example of @ that is not trivial, with numbers that you can hold in your head.",
            "Change one number at a time and note what stays the same.",
            "State what stayed the same as a rule, and try for ten minutes to break it.",
        ],
        Field::Nature => [
            "Find an instance of @ that you can watch, touch or measure today, however small.",
            "Draw what you see, and write beside it what you expect to happen next.",
            "Look again after an hour and after a day, and explain every difference from what you expected.",
        ],
        Field::Health => [
            "For one day note everything that you do which has to do with @.",
            "Mark what helps, what harms, and what you cannot tell.",
            "Ask somebody who must know about one entry of the third sort.",
        ],
        Field::Society => [
            "Ask two people of different ages what @ means to them, and write down their words.",
            "Draw a line of time, or a map, and place both answers on it.",
            "Add one thing that neither of them spoke of, with the source that it comes from.",
        ],
        Field::Art => [
            "Choose one work in which @ can be seen or heard, and spend ten quiet minutes with it.",
            "Imitate a small part of it by hand, by voice or in words.",
            "Say what was harder than it looked: there the skill lies.",
        ],
        Field::Wisdom => [
            "Write down a situation of your own life in which @ mattered.",
            "Argue for one side of it in five sentences, and then for the other in five as good ones.",
            "Say which sentence of the other side you can not answer yet.",
        ],
        Field::Economy => [
            "Follow one purchase of today back as far as you can, and mark where @ come in.",
            "Write beside each station who gains and who pays.",
            "Change one price and follow what happens to everybody else.",
        ],
        Field::Computing => [
            "Act out @ with pencil and paper, one step at a time, as if you were the machine.",
            "Give it the smallest input, the largest, and a wrong one.",
            "Write down the one step at which a careless person would go wrong.",
        ],
        Field::General => [
            "Collect five examples of @, and one thing that looks like an example and is none.",
            "Sort them in two different ways.",
            "Explain to somebody why the sixth does not belong.",
        ],
    };
    let steps = (1..).zip(steps).map(|(number, step): (u32, _)| format!("{number}. {step}"));
    steps.collect::<Vec<_>>().join("\n").replace('@', topic)
}

fn question(field: Field, topic: &str) -> String {
    let question = match field {
        Field::Language => {
            "What could you no longer say if there were no @, and how would you manage all the same?"
        }
        Field::Mathematics => {
            "What is the simplest case in which @ would not work, and which assumption fails there?"
        }
        Field::Nature => "What would you have to see to be convinced that what you believe about @ is wrong?",
        Field::Health => "Whom would advice about @ help, and whom might the same advice harm?",
        Field::Society => {
            "Who would tell the story of @ differently from you, and what would they put first?"
        }
        Field::Art => "What does @ let an artist say that could not be said in another way?",
        Field::Wisdom => "What would change in what you do tomorrow if you took @ seriously?",
        Field::Economy => "Who pays for @ without having been asked, and how could you tell?",
        Field::Computing => "What does @ cost as its input grows, and when is that no longer worth it?",
        Field::General => "How would you explain to a child why anybody should know about @?",
    };
    question.replace('@', topic)
}

fn questions(field: Field) -> [&'static str; 5] {
    match field {
        Field::Language => [
            "How are @ formed, and which forms are there?",
            "What do they do in a sentence that nothing else does?",
            "Which of them break the rule, and since when?",
            "How does another language that you know say the same?",
            "Where do learners go wrong, and where do native speakers disagree?",
        ],
        Field::Mathematics => [
            "What is the definition of @, word for word, and which word of it could not be left out?",
            "What is the simplest example, and the simplest thing that just fails to be one?",
            "What can be computed or proved with it that could not be before?",
            "Why is it true? Which step of the reason would you not have found alone?",
            "Where does it come up outside of mathematics?",
        ],
        Field::Nature => [
            "What can be observed of @, with the eye and with instruments?",
            "What is it made of, and what sets it in motion?",
            "What goes in, what comes out, and what is left over?",
            "Which experiment convinced people, and what did they believe before?",
            "What would the world be like without it?",
        ],
        Field::Health => [
            "Which part of the body or of life does @ concern?",
            "What does it look like when all is well, and what are the first signs that it is not?",
            "What has been shown to help, and how was it shown?",
            "For whom is the answer another one?",
            "When is it time to ask somebody who has learned it?",
        ],
        Field::Society => [
            "Where and when does @ begin, and who says so?",
            "Who took part, who decided, and who was not asked?",
            "What were the causes: those of the moment, and those of the century before?",
            "Which sources speak of it, and what did their writers want?",
            "What of it can be seen where you live?",
        ],
        Field::Art => [
            "Which works show @ best, and what do they have in common?",
            "With what means is the effect reached: line, colour, rhythm, word, silence?",
            "Against what was it new?",
            "Who could do it first, and who does it differently today?",
            "What do you feel, and at which point exactly?",
        ],
        Field::Wisdom => [
            "What question does @ answer, and who asked it first?",
            "What must be granted for it to hold?",
            "What is the strongest objection to it?",
            "How would somebody live who believed it?",
            "Where do two traditions agree about it, and where do they part?",
        ],
        Field::Economy => [
            "Who gives what to whom in @, and why do both agree?",
            "How is it measured, and what does the measure leave out?",
            "What happens when it becomes scarce, and when it becomes plentiful?",
            "Which rules bind it, and who made them?",
            "Who gains in the short run, and who in the long run?",
        ],
        Field::Computing => [
            "What problem does @ solve, and how was it solved before?",
            "What goes in, what comes out, and what must hold in between?",
            "How much time and room does it take as its input grows?",
            "How does it fail, and how would anybody notice?",
            "What is it built upon, and what is built upon it?",
        ],
        Field::General => [
            "What exactly is called @, and what is only similar?",
            "What are its parts, and how do they belong together?",
            "Where does it come from, and how has it changed?",
            "What is it good for, and who needs it?",
            "What is still disputed or unknown about it?",
        ],
    }
}
