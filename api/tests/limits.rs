//! Every limit that is documented, at it and one past it, through the front door. What is over is refused with the limit in
//! the refusal, and nothing is stored.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use serde_json::{Value, json};
use support::shop::Shop;

/// A mutation with a text of `n` bytes or entries, and what it says when that is too much.
struct Limit {
    what: &'static str,
    document: &'static str,
    /// The variables for this length.
    variables: fn(&str, usize) -> Value,
    at: usize,
    code: &'static str,
}

/// Words of this length: no limit counts blanks differently.
fn text(n: usize) -> String {
    "x".repeat(n)
}

const LIMITS: &[Limit] = &[
    Limit {
        what: "a subject has at most 500 bytes",
        document: "mutation ($s: String!) { x: ticketOpen(input: { subject: $s }) { position userErrors { code message } } }",
        variables: |_, n| json!({ "s": text(n) }),
        at: 500,
        code: "TOO_LONG",
    },
    Limit {
        what: "a message has at most 1 MiB",
        document: "mutation ($t: ID!, $s: String!) { x: ticketReply(id: $t, input: { body: $s }) { position userErrors { code message } } }",
        variables: |t, n| json!({ "t": t, "s": text(n) }),
        at: 1 << 20,
        code: "TOO_LONG",
    },
    Limit {
        what: "a message has at most 1 MiB, also of characters that JSON escapes sixfold",
        document: "mutation ($t: ID!, $s: String!) { x: ticketAddNote(id: $t, input: { body: $s }) { position userErrors { code message } } }",
        variables: |t, n| json!({ "t": t, "s": format!("x{}", "\u{1}".repeat(n - 1)) }),
        at: 1 << 20,
        code: "TOO_LONG",
    },
    Limit {
        what: "the summary of a call has at most 1 MiB",
        document: "mutation ($t: ID!, $s: String!) { x: ticketLogCall(id: $t, input: { answered: true, summary: $s }) { position userErrors { code message } } }",
        variables: |t, n| json!({ "t": t, "s": text(n) }),
        at: 1 << 20,
        code: "TOO_LONG",
    },
    Limit {
        what: "a tag has at most 64 bytes",
        document: "mutation ($t: ID!, $s: String!) { x: ticketTag(id: $t, input: { add: [$s] }) { position userErrors { code message } } }",
        variables: |t, n| json!({ "t": t, "s": text(n) }),
        at: 64,
        code: "TOO_LONG",
    },
    Limit {
        what: "a ticket has at most 100 tags",
        document: "mutation ($t: ID!, $s: [String!]!) { x: ticketTag(id: $t, input: { add: $s }) { position userErrors { code message } } }",
        variables: |t, n| {
            // One is there already from the limit before, which is put on again.
            let tags: Vec<String> = (1..n).map(|n| format!("tag {n}")).chain([text(64)]).collect();
            json!({ "t": t, "s": tags })
        },
        at: 100,
        code: "LIMIT",
    },
    Limit {
        what: "a text in a field has at most 4,000 bytes",
        document: "mutation ($t: ID!, $s: String!) { x: ticketSetField(id: $t, input: { field: \"order-number\", text: $s }) { position userErrors { code message } } }",
        variables: |t, n| json!({ "t": t, "s": text(n) }),
        at: 4_000,
        code: "TOO_LONG",
    },
    Limit {
        what: "a reason has at most 1,000 bytes",
        document: "mutation ($t: ID!, $s: String!) { x: ticketEscalate(id: $t, input: { reason: $s }) { position userErrors { code message } } }",
        variables: |t, n| json!({ "t": t, "s": text(n) }),
        at: 1_000,
        code: "TOO_LONG",
    },
    Limit {
        what: "levels go to 255",
        document: "mutation ($t: ID!, $n: Int!) { x: ticketEscalate(id: $t, input: { level: $n, reason: \"x\" }) { position userErrors { code message } } }",
        variables: |t, n| json!({ "t": t, "n": n }),
        at: 255,
        code: "INVALID",
    },
    Limit {
        what: "a customer's name has at most 200 bytes",
        document: "mutation ($s: String!) { x: customerRegister(input: { name: $s }) { position userErrors { code message } } }",
        variables: |_, n| json!({ "s": text(n) }),
        at: 200,
        code: "TOO_LONG",
    },
    Limit {
        what: "an e-mail address has at most 254 bytes",
        document: "mutation ($s: String!) { x: customerRegister(input: { name: \"x\", email: $s }) { position userErrors { code message } } }",
        variables: |_, n| json!({ "s": format!("{}@example.org", text(n - "@example.org".len())) }),
        at: 254,
        code: "TOO_LONG",
    },
    Limit {
        what: "a token's label has at most 100 bytes",
        document: "mutation ($s: String!) { x: tokenCreate(input: { role: AUDITOR, label: $s }) { position userErrors { code message } } }",
        variables: |_, n| json!({ "s": text(n) }),
        at: 100,
        code: "TOO_LONG",
    },
    Limit {
        what: "an idempotency key has at most 256 bytes",
        document: "mutation ($s: String!) { x: ticketOpen(input: { subject: \"x\", clientMutationId: $s }) { position userErrors { code message } } }",
        variables: |_, n| json!({ "s": text(n) }),
        at: 256,
        code: "TOO_LONG",
    },
    Limit {
        what: "the name of a desk has at most 200 bytes",
        document: "mutation ($s: String!) { x: deskApply(input: { toml: $s }) { position userErrors { code message } } }",
        variables: |_, n| json!({ "s": format!("name = \"{}\"\n", text(n)) }),
        at: 200,
        code: "INVALID",
    },
];

#[tokio::test]
async fn mutations_take_what_is_at_their_limits_and_refuse_one_more() {
    let shop = Shop::open().await;
    let id = shop.ticket("One").await;
    let position = "{ serverStatus { position } }";
    for limit in LIMITS {
        let ask = async |n: usize| {
            let mut data = shop.server.data(&shop.admin, limit.document, (limit.variables)(&id, n)).await;
            data["x"].take()
        };
        let taken = ask(limit.at).await;
        assert!(taken["userErrors"] == json!([]) && taken["position"].is_string(), "{}: {taken}", limit.what);
        let before = shop.server.data(&shop.admin, position, json!({})).await;
        let refused = ask(limit.at + 1).await;
        assert_eq!(
            (&refused["userErrors"][0]["code"], &refused["position"]),
            (&json!(limit.code), &Value::Null),
            "{}: {refused}",
            limit.what
        );
        assert_eq!(shop.server.data(&shop.admin, position, json!({})).await, before, "{}", limit.what);
    }
}

#[tokio::test]
async fn questions_take_what_is_at_their_limits_and_refuse_one_more() {
    let shop = Shop::open().await;
    let many = |n: usize, part: &dyn Fn(usize) -> String| (0..n).map(part).collect::<Vec<_>>().join(" ");
    let nested = |n: usize| {
        // viewer, type, and one level for each ofType below it.
        format!(
            "{{ __schema {{ types {{ fields {{ type {} {} }} }} }} }}",
            "{ ofType ".repeat(n - 5),
            "{ name } ".to_owned() + &"}".repeat(n - 5)
        )
    };
    type Question<'a> = (&'a str, usize, &'a dyn Fn(usize) -> String, &'a str);
    let questions: &[Question<'_>] = &[
        (
            "a page has at most 100 elements",
            100,
            &|n| format!("{{ tickets(first: {n}) {{ totalCount }} }}"),
            "BAD_USER_INPUT",
        ),
        ("a page from the end too", 100, &|n| format!("{{ agents(last: {n}) {{ totalCount }} }}"), "BAD_USER_INPUT"),
        (
            "at most 100 ids at once",
            100,
            &|n| format!("{{ nodes(ids: [{}]) {{ id }} }}", many(n, &|_| "\"x\"".into())),
            "BAD_USER_INPUT",
        ),
        (
            "at most 100 instants of a backlog",
            100,
            &|n| {
                format!(
                    "{{ report(backlogAt: [{}]) {{ backlog {{ tickets }} }} }}",
                    many(n, &|_| "\"2026-01-01T00:00:00Z\"".into())
                )
            },
            "BAD_USER_INPUT",
        ),
        (
            "timers of at most 100 tickets",
            100,
            &|n| format!("{{ timers(dueBefore: \"2100-01-01T00:00:00Z\", first: {n}) {{ at }} }}"),
            "BAD_USER_INPUT",
        ),
        ("at most 800 fields", 800, &|n| format!("{{ {} }}", many(n, &|_| "__typename".into())), "QUERY_TOO_COMPLEX"),
        (
            "at most 50 aliases",
            50,
            &|n| format!("{{ {} }}", many(n, &|n| format!("a{n}: __typename"))),
            "QUERY_TOO_COMPLEX",
        ),
        ("at most 17 levels", 17, &nested, "QUERY_TOO_COMPLEX"),
    ];
    for (what, at, question, code) in questions {
        let taken = shop.server.ask(&shop.admin, &question(*at), json!({})).await;
        assert!(taken.get("errors").is_none(), "{what}: {taken}");
        let refused = shop.server.ask(&shop.admin, &question(at + 1), json!({})).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], *code, "{what}: {refused}");
    }
    let tags = |n: usize| {
        format!(
            "mutation {{ {} }}",
            many(n, &|n| format!("m{n}: ticketResolve(id: \"ticket_x\", input: {{}}) {{ position }}"))
        )
    };
    let taken = shop.server.ask(&shop.admin, &tags(20), json!({})).await;
    assert!(taken.get("errors").is_none(), "{taken}");
    let refused = shop.server.ask(&shop.admin, &tags(21), json!({})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX", "{refused}");
}
