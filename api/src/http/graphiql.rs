//! The console GraphiQL, from our own files: it works offline.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::plain;

const PAGE: &str = include_str!("../../assets/graphiql/index.html");
const FILES: [(&str, &str, &str); 7] = [
    ("docket.js", "text/javascript", include_str!("../../assets/graphiql/docket.js")),
    ("docket.css", "text/css", include_str!("../../assets/graphiql/docket.css")),
    ("react.production.min.js", "text/javascript", include_str!("../../assets/graphiql/react.production.min.js")),
    (
        "react-dom.production.min.js",
        "text/javascript",
        include_str!("../../assets/graphiql/react-dom.production.min.js"),
    ),
    ("graphql-ws.min.js", "text/javascript", include_str!("../../assets/graphiql/graphql-ws.min.js")),
    ("graphiql.min.js", "text/javascript", include_str!("../../assets/graphiql/graphiql.min.js")),
    ("graphiql.min.css", "text/css", include_str!("../../assets/graphiql/graphiql.min.css")),
];
/// GraphiQL sets styles from its script and embeds its fonts; everything else comes from here.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'";

/// The page. It holds no data: GraphiQL asks for a token.
pub async fn page() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (headers, PAGE).into_response()
}

/// One of its files.
pub async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, text)) => {
            let kind = format!("{kind}; charset=utf-8");
            let headers = [(header::CONTENT_TYPE, kind.as_str()), (header::CACHE_CONTROL, "max-age=3600")];
            (headers, *text).into_response()
        }
        None => plain(StatusCode::NOT_FOUND, "not found\n".into()),
    }
}
