//! GraphQL over HTTP, after the draft of graphql.github.io/graphql-over-http. async-graphql-axum writes the answers of
//! executed requests; what it leaves open (negotiation, methods, content types, limits, status codes) is done here.

use async_graphql::{Response as GraphqlResponse, ServerError, Variables, parser::parse_query};
use async_graphql_axum::GraphQLResponse;
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use docket_core::ids::Position;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{App, MAX_BODY, REQUEST_TIMEOUT, shape};
use crate::graphql::error::code;

/// Errors of one answer at most.
const MAX_ERRORS: usize = 10;
/// A query waits at most so long for the position that it asks for.
const POSITION_WAIT: std::time::Duration = std::time::Duration::from_secs(5);
/// Header by which a query asks to see at least a position: one that a mutation gave.
const MIN_POSITION: &str = "docket-min-position";

/// Types of answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MediaType {
    /// `application/graphql-response+json`: the status says how the request fared.
    Response,
    /// `application/json`: clients of old, which expect 200 for everything that is GraphQL.
    Json,
}

impl MediaType {
    const fn name(self) -> &'static str {
        match self {
            Self::Response => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// The best of what the client takes; `None` when it takes neither.
    fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        let mut asked = false;
        for value in headers.get_all(header::ACCEPT) {
            for range in value.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default().to_ascii_lowercase();
                if name.is_empty() {
                    continue;
                }
                asked = true;
                let quality = parts.clone().find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
                let charset = parts.find_map(|part| part.strip_prefix("charset="));
                if charset.is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
                    continue;
                }
                let found = match name.as_str() {
                    "application/graphql-response+json" => Self::Response,
                    "application/json" | "application/*" | "*/*" => Self::Json,
                    _ => continue,
                };
                if quality > 0.0 && best.is_none_or(|(before, _)| quality > before) {
                    best = Some((quality, found));
                }
            }
        }
        match best {
            Some((_, found)) => Some(found),
            None if asked => None,
            None => Some(Self::Json),
        }
    }
}

/// An answer without execution.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::BAD_REQUEST, message)
    }

    fn into_response(self, media: MediaType) -> Response {
        let errors = vec![json!({ "message": self.message, "extensions": { "code": self.code } })];
        request_error(self.status, media, errors)
    }
}

/// A request error: nothing was executed, so there is no `data`.
fn request_error(status: StatusCode, media: MediaType, mut errors: Vec<Value>) -> Response {
    errors.truncate(MAX_ERRORS);
    let mut response = (status, json!({ "errors": errors }).to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media.name()));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// The members of a GraphQL request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    query: Option<Value>,
    variables: Option<Value>,
    operation_name: Option<Value>,
    extensions: Option<Value>,
}

/// A request whose members have their types.
pub struct Prepared {
    pub request: async_graphql::Request,
    pub is_query: bool,
}

/// Why a payload cannot be executed: a code and a message.
pub struct Unprepared {
    pub code: &'static str,
    pub message: String,
    /// The document itself is the trouble, not what is around it.
    pub in_document: bool,
}

impl Payload {
    /// Checks the members' types, parses the document, and looks at how much it asks for.
    pub fn prepare(self) -> Result<Prepared, Unprepared> {
        let refuse = |message: &str| {
            Err(Unprepared { code: code::BAD_REQUEST, message: message.to_owned(), in_document: false })
        };
        let query = match self.query {
            Some(Value::String(query)) => query,
            Some(_) => return refuse("query must be a string"),
            None => return refuse("query is missing: send the document as the member \"query\""),
        };
        let variables = match self.variables {
            None | Some(Value::Null) => Variables::default(),
            Some(variables @ Value::Object(_)) => Variables::from_json(variables),
            Some(_) => return refuse("variables must be an object"),
        };
        let operation_name = match self.operation_name {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => return refuse("operationName must be a string"),
        };
        match self.extensions {
            None | Some(Value::Null | Value::Object(_)) => {}
            Some(_) => return refuse("extensions must be an object"),
        }
        let document = parse_query(&query).map_err(|error| {
            let place = error.positions().next().map(|at| format!(" at line {}, column {}", at.line, at.column));
            Unprepared {
                code: code::PARSE_FAILED,
                message: format!("the document is not GraphQL{}", place.unwrap_or_default()),
                in_document: true,
            }
        })?;
        if let Some(message) = shape::excess(&document) {
            return Err(Unprepared { code: code::QUERY_TOO_COMPLEX, message, in_document: true });
        }
        let mut operations = document.operations.iter();
        let chosen = match &operation_name {
            Some(wanted) => operations.find(|(name, _)| name.is_some_and(|name| name.as_str() == wanted)),
            None => {
                let first = operations.next();
                if operations.next().is_some() {
                    return Err(Unprepared {
                        code: code::OPERATION_RESOLUTION_FAILURE,
                        message: "the document has several operations: say which one as operationName".into(),
                        in_document: true,
                    });
                }
                first
            }
        };
        let Some((_, operation)) = chosen else {
            return Err(Unprepared {
                code: code::OPERATION_RESOLUTION_FAILURE,
                message: "the document has no operation of this name".into(),
                in_document: true,
            });
        };
        let is_query = operation.node.ty == async_graphql::parser::types::OperationType::Query;
        let mut request = async_graphql::Request::new(query).variables(variables);
        if let Some(name) = operation_name {
            request = request.operation_name(name);
        }
        request.set_parsed_query(document);
        Ok(Prepared { request, is_query })
    }
}

/// Answers a GraphQL request.
pub async fn handle(State(app): State<App>, request: Request<Body>) -> Response {
    let Some(media) = MediaType::negotiate(request.headers()) else {
        let message = "accept application/graphql-response+json or application/json";
        return Refusal::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message).into_response(MediaType::Json);
    };
    match answer(&app, media, request).await {
        Ok(response) => response,
        Err(refusal) => {
            let not_allowed = refusal.status == StatusCode::METHOD_NOT_ALLOWED;
            let unauthenticated = refusal.status == StatusCode::UNAUTHORIZED;
            let post_only = refusal.message.contains("POST");
            let mut response = refusal.into_response(media);
            if not_allowed {
                let allow = if post_only { "POST" } else { "GET, POST" };
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
            }
            if unauthenticated {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

async fn answer(app: &App, media: MediaType, request: Request<Body>) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let by_get = match parts.method {
        Method::GET => true,
        Method::POST => false,
        _ => {
            let message = "use GET for queries and post for everything";
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message));
        }
    };
    let principal = app.authenticate(&parts.headers, parts.uri.query()).ok_or_else(|| {
        let sent = parts.headers.contains_key(header::AUTHORIZATION)
            || parts.uri.query().is_some_and(|query| query.contains("access_token="));
        let message = if sent {
            "this token is unknown, has ended or was taken back; it is sent as Authorization: Bearer dkt_…"
        } else {
            "send a token as Authorization: Bearer dkt_…; `docket token create` makes one"
        };
        Refusal::new(StatusCode::UNAUTHORIZED, code::UNAUTHENTICATED, message)
    })?;
    let payload = if by_get {
        from_query(parts.uri.query().unwrap_or_default())?
    } else {
        check_content_type(&parts.headers)?;
        from_body(body).await?
    };
    let prepared = payload.prepare().map_err(|error| {
        // Clients of old expect 200 for what is wrong with the document.
        let legacy = media == MediaType::Json && error.in_document;
        let status = if legacy { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        Refusal::new(status, error.code, error.message)
    })?;
    if by_get && !prepared.is_query {
        let message = "mutations and subscriptions are sent by POST";
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message));
    }
    let mut session = app.session(principal);
    if let Some(wanted) = min_position(&parts.headers)? {
        session.engine.follow(wanted).map_err(|error| Refusal::bad_request(error.to_string()))?;
        session.views = session
            .engine
            .views_at(wanted, POSITION_WAIT)
            .await
            .map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code::TIMEOUT, error.to_string()))?;
    }
    // The work goes on by itself when the client goes away: a mutation is never left half-answered.
    let (schema, request) = (app.schema.clone(), prepared.request.data(session));
    let work = tokio::spawn(tracing::Instrument::in_current_span(async move { schema.execute(request).await }));
    let response = match tokio::time::timeout(REQUEST_TIMEOUT, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            tracing::error!(%error, "a request broke off");
            let message = "something went wrong here; the server's log says what, under the request's id";
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL_SERVER_ERROR, message));
        }
        Err(_) => {
            let message = "the request took too long; what it stored, if anything, is stored";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code::TIMEOUT, message));
        }
    };
    Ok(respond(media, response))
}

/// The answer to an executed request, or a request error when validation stopped it.
fn respond(media: MediaType, mut response: GraphqlResponse) -> Response {
    add_codes(&mut response);
    response.errors.truncate(MAX_ERRORS);
    if is_request_error(&response) {
        let status = if media == MediaType::Json { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        let errors = response.errors.iter().filter_map(|error| serde_json::to_value(error).ok()).collect();
        return request_error(status, media, errors);
    }
    let mut response = GraphQLResponse::from(response).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media.name()));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// Nothing was executed: no data, and no error that belongs to a field.
pub fn is_request_error(response: &GraphqlResponse) -> bool {
    response.data == async_graphql::Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// Errors of the library get a code too.
pub fn add_codes(response: &mut GraphqlResponse) {
    for error in &mut response.errors {
        let coded = error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some());
        if !coded {
            let code = code_of(error);
            error.extensions.get_or_insert_default().set("code", code);
        }
    }
}

fn code_of(error: &ServerError) -> &'static str {
    // The library's limits and resolution errors are known by their texts alone.
    if error.message.starts_with("Query is too complex") || error.message.starts_with("Query is nested too deep") {
        code::QUERY_TOO_COMPLEX
    } else if error.message.starts_with("Unknown operation") {
        code::OPERATION_RESOLUTION_FAILURE
    } else if error.path.is_empty() {
        code::VALIDATION_FAILED
    } else {
        // Resolvers code their own errors; what is left are values that the library could not read.
        code::BAD_USER_INPUT
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let refuse = || {
        let message = "send the request as content-type: application/json";
        Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
    };
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or_else(refuse)?;
    let mut parts = value.split(';').map(str::trim);
    if !parts.next().unwrap_or_default().eq_ignore_ascii_case("application/json") {
        return Err(refuse());
    }
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    match charset {
        Some(charset) if !charset.trim_matches('"').eq_ignore_ascii_case("utf-8") => Err(refuse()),
        Some(_) | None => Ok(()),
    }
}

async fn from_body(body: Body) -> Result<Payload, Refusal> {
    let bytes = to_bytes(body, MAX_BODY).await.map_err(|_| {
        let message = format!("a request has at most {MAX_BODY} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
    })?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|_| Refusal::bad_request("the request's body is not JSON"))?;
    if !value.is_object() {
        return Err(Refusal::bad_request("the request's body must be one JSON object; batches are not taken"));
    }
    serde_json::from_value(value).map_err(|_| Refusal::bad_request("the request has members of wrong types"))
}

/// A request in the parameters of a URL.
fn from_query(query: &str) -> Result<Payload, Refusal> {
    let parameters: std::collections::HashMap<String, String> =
        axum::extract::Query::try_from_uri(&format!("/?{query}").parse().unwrap_or_default())
            .map(|query| query.0)
            .map_err(|_| Refusal::bad_request("the URL's parameters cannot be read"))?;
    let json = |name: &str| match parameters.get(name) {
        None => Ok(None),
        Some(text) if text.is_empty() => Ok(None),
        Some(text) => serde_json::from_str(text)
            .map(Some)
            .map_err(|_| Refusal::bad_request(format!("the parameter {name} is not JSON"))),
    };
    Ok(Payload {
        query: parameters.get("query").cloned().map(Value::String),
        variables: json("variables")?,
        operation_name: parameters.get("operationName").filter(|name| !name.is_empty()).cloned().map(Value::String),
        extensions: json("extensions")?,
    })
}

fn min_position(headers: &HeaderMap) -> Result<Option<Position>, Refusal> {
    let Some(value) = headers.get(MIN_POSITION) else { return Ok(None) };
    let position = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    position
        .map(|position| Some(Position::new(position)))
        .ok_or_else(|| Refusal::bad_request(format!("{MIN_POSITION} must be a position, such as 1024")))
}
