use fakes::Double;
use fakes::pages::{Checker, Page};

const PAGE: &str = r#"
```http
POST /{api}/llm/query
Content-Type: application/json

{"topic": "React", "sub_topics": ["60d5ec49f1b2c8b1f8e4f1a1", "hooks"]}
```
```http
HTTP/1.1 200 OK
Content-Type: application/json

{"response": ["60d5ec49f1b2c8b1f8e4f1a1 1", "hooks 1", "React 1", …]}
```

<!-- test: say hello -->

```http
POST /v1/chat/completions

{"model": "m", "messages": [{"role": "user", "content": "Who?"}]}
```
```json
{"choices": [{"message": {"content": "{said}", …}, …}], …}
```
```http
POST /v1/chat/completions

{"model": "m", "stream": true, "messages": [{"role": "user", "content": "{said}"}]}
```
```http
HTTP/1.1 200 OK
Content-Type: text/event-stream

data: {…"role":"assistant"}…
…
data: [DONE]
```
"#;

#[tokio::test]
async fn a_page_that_is_true_passes_and_one_that_is_not_does_not() {
    let double = Double::start().await;
    let page = Page::read(PAGE);
    let mut checker = Checker::new(&double.url());
    checker.set("api", "api/v1");
    let mut notes = Vec::new();
    let told = async |note: &str| {
        double.say("Hello, Ada");
        notes.push(note.to_owned());
    };
    checker.check_page(&page, told).await;
    assert_eq!(notes, ["say hello"]);
    assert_eq!(checker.get("said"), Some("Hello, Ada"));
    let asked = double.seen("/v1/chat/completions");
    assert!(String::from_utf8_lossy(&asked[1].body).contains("Hello, Ada"));

    for (from, to, reason) in [
        ("200 OK", "201 Created", "the page says 201"),
        ("\"hooks 1\"", "\"hooks 2\"", ".response[1]: the page says 'hooks 2', and it is 'hooks 1'"),
        (", …]}", "]}", "the page shows 3 entries, and there are 10"),
        ("Content-Type: application/json\n\n{\"r", "X-Id: 1\n\n{\"r", "the header X-Id is missing"),
        ("{api}", "{other}", "the variable {other} is not set"),
    ] {
        assert!(PAGE.contains(from), "{from}");
        let page = Page::read(&PAGE.replacen(from, to, 1));
        let mut checker = Checker::new(&double.url());
        checker.set("api", "api/v1");
        let error = checker.check(&page.exchanges[0]).await.unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}
