//! GraphQL over HTTP, after the draft of graphql.github.io/graphql-over-http. async-graphql-axum writes the answers of
//! executed requests; what it leaves open (negotiation, methods, content types, limits, status codes) is done here.

use std::sync::Arc;

use async_graphql::{
    Name, Response as GraphqlResponse, ServerError, Value as GraphqlValue, parser::types::OperationType,
};
use async_graphql_axum::GraphQLResponse;
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use docket_core::{ids::Position, personal::Body as TicketBody};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::watch, task::AbortHandle};

use super::{
    App, MAX_BODY, REQUEST_TIMEOUT,
    document::{Documents, Fit, Unfit},
    door::Place,
};
use crate::engine::EngineError;
use crate::graphql::{
    cost::{self, Cost},
    error::code,
};

/// Errors of one answer at most.
const MAX_ERRORS: usize = 10;
/// A query waits at most so long for the position that it asks for.
const POSITION_WAIT: std::time::Duration = std::time::Duration::from_secs(5);
/// A body that is not there so long after the signal to stop is not waited for.
const STOP_GRACE: std::time::Duration = std::time::Duration::from_secs(1);
/// Header by which a query asks to see at least a position: one that a mutation gave.
const MIN_POSITION: &str = "docket-min-position";
/// Header by which a query asks for everything as it stood at a position.
const AT_POSITION: &str = "docket-at-position";
/// So much of a message goes into the log.
const LOGGED_CHARS: usize = 300;

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
    errors: Vec<ServerError>,
    /// The methods that would do, with 405.
    allow: Option<&'static str>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, errors: vec![coded(ServerError::new(message, None), code)], allow: None }
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::BAD_REQUEST, message)
    }

    fn method(allow: &'static str, message: &str) -> Self {
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message);
        Self { allow: Some(allow), ..refusal }
    }

    fn into_response(self, media: MediaType) -> Response {
        log(&self.errors);
        let mut response = request_error(self.status, media, &self.errors);
        if let Some(allow) = self.allow {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn coded(mut error: ServerError, code: &str) -> ServerError {
    error.extensions.get_or_insert_default().set("code", code);
    error
}

/// A request error: nothing was executed, so there is no `data`.
fn request_error(status: StatusCode, media: MediaType, errors: &[ServerError]) -> Response {
    let errors = errors.get(..MAX_ERRORS).unwrap_or(errors);
    let mut response = (status, json!({ "errors": errors }).to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media.name()));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// One line for what failed or was refused, under the request's id, which the client was given too.
pub fn log(errors: &[ServerError]) {
    let Some(first) = errors.first() else { return };
    let code = match first.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(GraphqlValue::String(code)) => code.as_str(),
        Some(_) | None => "",
    };
    let path: Vec<String> = first.path.iter().map(segment).collect();
    let path = path.join(".");
    // What an argument or a variable held may be a customer's text, and a message about it may repeat it.
    let message =
        if code == code::BAD_USER_INPUT { "an argument or a variable cannot be used" } else { &first.message };
    let message: String = message.chars().take(LOGGED_CHARS).collect();
    let count = errors.len();
    match code {
        code::INTERNAL_SERVER_ERROR => tracing::error!(code, path, count, "a request failed: {message}"),
        code::UNAVAILABLE | code::TIMEOUT => tracing::warn!(code, path, count, "a request failed: {message}"),
        _ => tracing::info!(code, path, count, "a request was refused or failed in part: {message}"),
    }
}

fn segment(segment: &async_graphql::PathSegment) -> String {
    match segment {
        async_graphql::PathSegment::Field(name) => name.clone(),
        async_graphql::PathSegment::Index(index) => index.to_string(),
    }
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

impl Payload {
    /// What is asked, as it was sent: what goes on record of whoever is recorded.
    pub fn asked(&self) -> String {
        let Self { query, variables, operation_name, extensions: _ } = self;
        let mut asked = serde_json::Map::new();
        for (name, value) in [("query", query), ("operationName", operation_name), ("variables", variables)] {
            asked.extend(value.clone().map(|value| (name.to_owned(), value)));
        }
        Value::Object(asked).to_string()
    }

    /// The client asks what its operation costs.
    fn tells_cost(&self) -> bool {
        self.extensions.as_ref().is_some_and(|extensions| extensions["cost"] == true)
    }

    /// Checks the members' types, and makes a valid request of them or says why it is none.
    pub fn prepare(self, documents: &Documents) -> Result<Fit, Unfit> {
        let refuse = |message: &str| Err(Unfit::new(code::BAD_REQUEST, message));
        let query = match self.query {
            Some(Value::String(query)) => query,
            Some(_) => return refuse("query must be a string"),
            None => return refuse("query is missing: send the document as the member \"query\""),
        };
        let variables = match self.variables {
            None | Some(Value::Null) => serde_json::Map::new(),
            Some(Value::Object(variables)) => variables,
            Some(_) => return refuse("variables must be an object"),
        };
        let operation_name = match &self.operation_name {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name.as_str()),
            Some(_) => return refuse("operationName must be a string"),
        };
        match self.extensions {
            None | Some(Value::Null | Value::Object(_)) => {}
            Some(_) => return refuse("extensions must be an object"),
        }
        documents.prepare(query, operation_name, variables)
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
        Err(refusal) => refusal.into_response(media),
    }
}

/// Ends the work on a query whose client went away: nobody waits for it.
struct Abandoned(Option<AbortHandle>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(work) = &self.0 {
            work.abort();
        }
    }
}

async fn answer(app: &App, media: MediaType, request: Request<Body>) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let by_get = match parts.method {
        Method::GET => true,
        Method::POST => false,
        _ => {
            return Err(Refusal::method("GET, POST", "send queries by GET or POST, everything else by POST"));
        }
    };
    let principal = app.authenticate(&parts).ok_or_else(|| {
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
        // Whoever has a token and sends half of a body has a place that others may need.
        let _sending = parts.extensions.get::<Arc<Place>>().map(|place| place.sending());
        from_body(body, app.door.body, app.engine.stopping()).await?
    };
    let tell_cost = payload.tells_cost();
    let recorded = principal.recorded().map(|token| (token, payload.asked()));
    let fit = payload.prepare(&app.documents).map_err(|unfit| {
        // Clients of old expect 200 for whatever is wrong inside of a well-formed request.
        let legacy = media == MediaType::Json && unfit.code != code::BAD_REQUEST;
        let status = if legacy { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        Refusal { status, errors: unfit.into_errors(), allow: None }
    })?;
    let is_query = fit.kind == OperationType::Query;
    if by_get && !is_query {
        return Err(Refusal::method("POST", "mutations and subscriptions are sent by POST"));
    }
    let mut session = app.session(principal);
    if let Some((token, asked)) = recorded.filter(|_| is_query) {
        let recorded = session.engine.record_read(&session.principal, token, asked).await;
        session.views = recorded.map_err(|error| {
            let rejected = matches!(error, EngineError::Rejected { .. });
            let status = if rejected { StatusCode::BAD_REQUEST } else { StatusCode::SERVICE_UNAVAILABLE };
            Refusal { status, errors: vec![unrecorded(&error)], allow: None }
        })?;
    }
    if let Some(wanted) = position_in(&parts.headers, MIN_POSITION)? {
        session.engine.follow(wanted).map_err(|error| Refusal::bad_request(error.to_string()))?;
        session.views = session
            .engine
            .views_at(wanted, POSITION_WAIT)
            .await
            .map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code::TIMEOUT, error.to_string()))?;
    }
    if let Some(position) = position_in(&parts.headers, AT_POSITION)? {
        if !is_query {
            return Err(Refusal::bad_request(format!("{AT_POSITION} is for queries: the past is not changed")));
        }
        session.views =
            session.engine.views_of(&session.principal, position).await.map_err(|error| at_position(&error))?;
    }
    let variables = is_query.then(|| fit.request.variables.clone());
    let (schema, request) = (app.schema.clone(), fit.request.data(session));
    let work = tokio::spawn(tracing::Instrument::in_current_span(async move { schema.execute(request).await }));
    // A mutation goes on by itself when its client goes away: it is never left half-answered.
    let _abandoned = Abandoned(is_query.then(|| work.abort_handle()));
    let mut response = match tokio::time::timeout(REQUEST_TIMEOUT, work).await {
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
    if let Some(variables) = variables.filter(|_| tell_cost || is_too_complex(&response)) {
        say_cost(&mut response, cost::measure(fit.shape.again(variables)).await);
    }
    fit.shape.complete(&mut response);
    Ok(respond(media, response))
}

/// What cannot be put on record is not read.
pub fn unrecorded(error: &EngineError) -> ServerError {
    let code = if let EngineError::Rejected { .. } = error { code::BAD_REQUEST } else { code::UNAVAILABLE };
    let message = format!("what an auditor reads is put on record first, and this could not be: {error}");
    coded(ServerError::new(message, None), code)
}

/// Says what the operation costs: in its refusal, or beside its answer.
fn say_cost(response: &mut GraphqlResponse, cost: Option<Cost>) {
    let Some(cost) = cost else { return };
    if let Some(error) = response.errors.iter_mut().find(|error| code_of(error) == code::QUERY_TOO_COMPLEX) {
        error.message = cost.excess();
        let extensions = error.extensions.get_or_insert_default();
        extensions.set("code", code::QUERY_TOO_COMPLEX);
        extensions.set("cost", cost.complexity);
        extensions.set("limit", Cost::LIMIT);
    } else {
        let told = [(Name::new("requested"), cost.complexity.into()), (Name::new("limit"), Cost::LIMIT.into())];
        response.extensions.insert("cost".into(), GraphqlValue::Object(told.into_iter().collect()));
    }
}

fn is_too_complex(response: &GraphqlResponse) -> bool {
    response.errors.iter().any(|error| error.path.is_empty() && code_of(error) == code::QUERY_TOO_COMPLEX)
}

/// The answer to an executed request, or a request error when a limit stopped it.
fn respond(media: MediaType, mut response: GraphqlResponse) -> Response {
    add_codes(&mut response);
    log(&response.errors);
    response.errors.truncate(MAX_ERRORS);
    if is_request_error(&response) {
        let status = if media == MediaType::Json { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        return request_error(status, media, &response.errors);
    }
    let retry_after = response.errors.iter().filter_map(retry_after_s).max();
    let mut response = GraphQLResponse::from(response).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media.name()));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// When a client may come back, if an error says so (`extensions.retryAfterS` beside the code UNAVAILABLE).
fn retry_after_s(error: &ServerError) -> Option<u64> {
    let extensions = error.extensions.as_ref()?;
    if extensions.get("code") != Some(&GraphqlValue::String(code::UNAVAILABLE.into())) {
        return None;
    }
    match extensions.get("retryAfterS") {
        Some(GraphqlValue::Number(seconds)) => seconds.as_u64(),
        Some(_) | None => None,
    }
}

/// Nothing was executed: no data, and no error that belongs to a field.
pub fn is_request_error(response: &GraphqlResponse) -> bool {
    response.data == GraphqlValue::Null
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

async fn from_body(
    body: Body,
    limit: std::time::Duration,
    mut stopping: watch::Receiver<bool>,
) -> Result<Payload, Refusal> {
    let stopped = async {
        // An engine that is gone has stopped.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    let read = tokio::select! {
        read = tokio::time::timeout(limit, to_bytes(body, MAX_BODY)) => read.map_err(|_| {
            let message = format!("the request's body was not there after {} s; nothing was done", limit.as_secs_f64());
            Refusal::new(StatusCode::REQUEST_TIMEOUT, code::TIMEOUT, message)
        })?,
        () = stopped => {
            let message = "the server stops, and the request's body was not there; nothing was done";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, message));
        }
    };
    let bytes = read.map_err(|_| {
        let message = format!("a request has at most {MAX_BODY} bytes; a text has at most {} bytes", TicketBody::MAX);
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

fn position_in(headers: &HeaderMap, name: &str) -> Result<Option<Position>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let position = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    position
        .map(|position| Some(Position::new(position)))
        .ok_or_else(|| Refusal::bad_request(format!("{name} must be a position, such as 1024")))
}

/// Why a question is not answered as of a position.
fn at_position(error: &EngineError) -> Refusal {
    let (status, code) = match error {
        EngineError::Rejected { .. } => return Refusal::bad_request(format!("{AT_POSITION}: {error}")),
        EngineError::Forbidden { .. } => (StatusCode::FORBIDDEN, code::FORBIDDEN),
        EngineError::Busy { .. } | EngineError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE),
        EngineError::Views(_) => (StatusCode::SERVICE_UNAVAILABLE, code::TIMEOUT),
        EngineError::Conflict { .. }
        | EngineError::KeyReused { .. }
        | EngineError::Ticket { .. }
        | EngineError::Read(_)
        | EngineError::Content(_)
        | EngineError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL_SERVER_ERROR),
    };
    Refusal::new(status, code, format!("{AT_POSITION}: {error}"))
}

#[cfg(test)]
mod tests {
    use async_graphql::{PathSegment, indexmap::IndexMap};

    use super::*;

    #[test]
    fn an_error_that_says_when_to_come_back_gives_the_header_too() {
        let answer = |code: &str, seconds: Option<i64>| {
            let mut error = coded(ServerError::new("not now", None), code);
            error.path.push(PathSegment::Field("report".into()));
            if let (Some(extensions), Some(seconds)) = (&mut error.extensions, seconds) {
                extensions.set("retryAfterS", seconds);
            }
            let mut data = IndexMap::new();
            data.insert(Name::new("report"), GraphqlValue::Null);
            let mut response = GraphqlResponse::new(GraphqlValue::Object(data));
            response.errors.push(error);
            let response = respond(MediaType::Response, response);
            response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(answer(code::UNAVAILABLE, Some(7)).as_deref(), Some("7"));
        assert_eq!(answer(code::UNAVAILABLE, None), None);
        assert_eq!(answer(code::UNAVAILABLE, Some(-7)), None);
        assert_eq!(answer(code::FORBIDDEN, Some(7)), None);
    }

    #[tokio::test]
    async fn a_query_that_nobody_waits_for_ends_and_a_mutation_goes_on() {
        let query = tokio::spawn(std::future::pending::<()>());
        drop(Abandoned(Some(query.abort_handle())));
        assert!(query.await.is_err_and(|error| error.is_cancelled()));
        let mutation = tokio::spawn(async { tokio::task::yield_now().await });
        drop(Abandoned(None));
        assert!(mutation.await.is_ok());
    }
}
