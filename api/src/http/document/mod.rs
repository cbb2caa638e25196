//! GraphQL by the book, around async-graphql: what the specification (October 2021) asks for and the library leaves open.
//!
//! Before execution: [`rules`] validates the document (section 5), [`variables`] coerces the variables before anything runs
//! (6.1.2), and [`plan`] collects and merges the selected fields (6.3.2), so that every response key is executed once. After
//! it: [`complete`] puts every selected key in its place and carries nulls to where the types allow them (6.4.3, 6.4.4).
//!
//! # Invariant
//! A document that is refused here has run nothing, and its answer has no `data`.

mod complete;
mod plan;
mod removed;
mod rules;
mod text;
mod variables;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use apollo_compiler::{ExecutableDocument, collections::HashSet, executable::Operation, validation::Valid};
use async_graphql::{
    Name, Request, Response, ServerError, Variables,
    parser::{parse_query, types::OperationType},
};
use plan::Plan;
use rules::Rules;
use serde_json::{Map, Value};

use text::Plain;

use super::shape;
use crate::graphql::error::code;

/// Longest document in bytes, its strings and comments not counted: those may hold a text of a ticket, and cost nothing.
const MAX_DOCUMENT: usize = 256 * 1024;
/// Documents up to this length are kept once they were found valid.
const KEPT_LENGTH: usize = 16 * 1024;
/// So many documents are kept,
const KEPT_COUNT: usize = 256;
/// and so many bytes of their text; what is made of a text takes some ten times its length.
const KEPT_BYTES: usize = 512 * 1024;
/// Plans of one document are kept for so many combinations of what its variables decide.
const KEPT_PLANS: usize = 8;

/// Why a request cannot be executed: what is wrong, each with its place in the document.
pub struct Unfit {
    pub code: &'static str,
    pub errors: Vec<ServerError>,
}

impl Unfit {
    /// One thing that is wrong.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, errors: vec![ServerError::new(message, None)] }
    }

    /// The errors with their code.
    pub fn into_errors(self) -> Vec<ServerError> {
        let mut errors = self.errors;
        errors.iter_mut().for_each(|error| error.extensions.get_or_insert_default().set("code", self.code));
        errors
    }
}

/// A request that is valid, with what its answer must look like.
pub struct Fit {
    pub request: Request,
    pub kind: OperationType,
    pub shape: Answer,
}

/// What the answer to an operation must look like.
#[derive(Clone)]
pub struct Answer(Arc<Plan>);

impl Answer {
    /// The same operation once more, to be measured.
    pub fn again(&self, variables: Variables) -> Request {
        let mut request = Request::new(String::new()).variables(variables);
        request.set_parsed_query(self.0.document.clone());
        request
    }

    /// Makes `data` what the specification says, whatever failed.
    pub fn complete(&self, response: &mut Response) {
        complete::complete(&self.0.root, response);
    }
}

/// Validates documents by the schema, and remembers those that were asked for lately.
pub struct Documents {
    rules: Rules,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    documents: HashMap<Arc<str>, Entry>,
    bytes: usize,
    /// Counts the look-ups; whoever was looked up longest ago goes first.
    clock: u64,
}

struct Entry {
    document: Arc<Document>,
    used: u64,
}

/// A valid document.
struct Document {
    executable: Valid<ExecutableDocument>,
    /// Variables that decide whether something is selected.
    conditions: HashSet<Name>,
    plans: Mutex<Vec<Known>>,
}

/// A plan, and for which operation and which decisions of the variables it holds.
struct Known {
    operation: Option<String>,
    decisions: Vec<plan::Decision>,
    plan: Arc<Plan>,
}

impl Documents {
    /// The rules of Docket's own schema.
    pub fn new() -> Self {
        Self { rules: Rules::of(&crate::graphql::sdl()), kept: Mutex::default() }
    }

    /// Makes a request of what a client sent.
    pub fn prepare(
        &self,
        query: String,
        operation_name: Option<&str>,
        values: Map<String, Value>,
    ) -> Result<Fit, Unfit> {
        let document = self.document(query)?;
        let operation = choose(&document.executable, operation_name)?;
        let variables = variables::coerce(&self.rules, operation, values)
            .map_err(|errors| Unfit { code: code::BAD_USER_INPUT, errors })?;
        let plan = self.plan(&document, operation, &variables);
        let kind = match operation.operation_type {
            apollo_compiler::ast::OperationType::Query => OperationType::Query,
            apollo_compiler::ast::OperationType::Mutation => OperationType::Mutation,
            apollo_compiler::ast::OperationType::Subscription => OperationType::Subscription,
        };
        let mut request = Request::new(String::new()).variables(variables);
        request.set_parsed_query(plan.document.clone());
        Ok(Fit { request, kind, shape: Answer(plan) })
    }

    fn document(&self, query: String) -> Result<Arc<Document>, Unfit> {
        if query.len() <= KEPT_LENGTH
            && let Some(document) = self.remembered(&query)
        {
            return Ok(document);
        }
        let executable = self.check(&query)?;
        let conditions = plan::conditions(&executable);
        let document = Arc::new(Document { executable, conditions, plans: Mutex::default() });
        if query.len() <= KEPT_LENGTH {
            self.remember(query, &document);
        }
        Ok(document)
    }

    /// Looks at how much the document asks for, and validates it.
    fn check(&self, query: &str) -> Result<Valid<ExecutableDocument>, Unfit> {
        let plain = Plain::of(query);
        if plain.length > MAX_DOCUMENT {
            let message = format!("a document has at most {MAX_DOCUMENT} bytes beside its strings");
            return Err(Unfit::new(code::QUERY_TOO_COMPLEX, message));
        }
        let parsed = parse_query(&plain.text).map_err(|error| {
            let place = error.positions().next().map(|at| format!(" at line {}, column {}", at.line, at.column));
            Unfit::new(code::PARSE_FAILED, format!("the document is not GraphQL{}", place.unwrap_or_default()))
        })?;
        if let Some(message) = shape::excess(&parsed) {
            return Err(Unfit::new(code::QUERY_TOO_COMPLEX, message));
        }
        self.rules.validate(plain.text).map_err(|errors| Unfit { code: code::VALIDATION_FAILED, errors })
    }

    fn plan(&self, document: &Document, operation: &Operation, variables: &Variables) -> Arc<Plan> {
        let decisions = plan::decisions(&document.conditions, operation, variables);
        let name = operation.name.as_ref().map(|name| name.as_str());
        let mut plans = document.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let known = plans.iter().find(|known| known.operation.as_deref() == name && known.decisions == decisions);
        if let Some(known) = known {
            return Arc::clone(&known.plan);
        }
        let plan = Arc::new(plan::make(&self.rules, &document.executable, operation, variables));
        if plans.len() >= KEPT_PLANS {
            plans.remove(0);
        }
        plans.push(Known { operation: name.map(str::to_owned), decisions, plan: Arc::clone(&plan) });
        plan
    }

    fn remembered(&self, query: &str) -> Option<Arc<Document>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let entry = kept.documents.get_mut(query)?;
        entry.used = now;
        Some(Arc::clone(&entry.document))
    }

    fn remember(&self, query: String, document: &Arc<Document>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let used = kept.clock;
        let length = query.len();
        let entry = Entry { document: Arc::clone(document), used };
        if kept.documents.insert(query.into(), entry).is_none() {
            kept.bytes += length;
        }
        while kept.documents.len() > KEPT_COUNT || kept.bytes > KEPT_BYTES {
            let oldest = kept.documents.iter().min_by_key(|(_, entry)| entry.used).map(|(text, _)| Arc::clone(text));
            let Some(oldest) = oldest else { break };
            kept.documents.remove(&oldest);
            kept.bytes -= oldest.len();
        }
    }
}

/// The operation that a request means (specification, section 6.1, GetOperation).
fn choose<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Result<&'a Operation, Unfit> {
    document.operations.get(name).map(|operation| &**operation).map_err(|_| {
        let message = match name {
            Some(_) => "the document has no operation of this name",
            None if document.operations.is_empty() => "the document has no operation",
            None => "the document has several operations: say which one as operationName",
        };
        Unfit::new(code::OPERATION_RESOLUTION_FAILURE, message)
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::{PathSegment, Value as Data};
    use serde_json::json;

    use super::*;

    fn prepare(documents: &Documents, query: &str) -> Result<Fit, Unfit> {
        documents.prepare(query.to_owned(), None, Map::new())
    }

    /// What becomes of an answer whose errors have these paths.
    fn completed(query: &str, data: Value, paths: &[&[&str]]) -> Value {
        let Ok(fit) = prepare(&Documents::new(), query) else { panic!("{query} is not valid") };
        let mut response = Response::new(Data::from_json(data).unwrap());
        for path in paths {
            let path = path.iter().map(|part| match part.parse() {
                Ok(index) => PathSegment::Index(index),
                Err(_) => PathSegment::Field((*part).to_owned()),
            });
            response.errors.push(ServerError::new("no", None).with_path(path.collect()));
        }
        fit.shape.complete(&mut response);
        serde_json::to_value(&response).unwrap()
    }

    #[test]
    fn the_schema_is_valid_and_knows_the_introspection_of_today() {
        let sdl = crate::graphql::sdl();
        assert!(apollo_compiler::Schema::parse_and_validate(&sdl, "schema.graphql").is_ok());
        assert!(prepare(&Documents::new(), "{ __schema { types { name isOneOf specifiedByURL } } }").is_ok());
    }

    #[test]
    fn a_null_goes_up_to_the_next_place_where_it_may_stand() {
        let query = "{ desk { name statuses { key name } } __typename }";
        let data = || json!({ "__typename": "Query", "desk": { "statuses": [{ "key": "new" }, { "name": "Open", "key": "open" }], "name": "x" } });
        let done = completed(query, data(), &[&["desk", "statuses", "0", "name"]]);
        assert_eq!(done["data"].to_string(), json!({ "desk": null, "__typename": "Query" }).to_string());
        // Without a nullable place in between it is the whole answer.
        let query = "{ nodes(ids: []) { id } }";
        let done = completed(query, json!({}), &[&["nodes"]]);
        assert_eq!(done["data"], Value::Null);
    }

    #[test]
    fn an_object_whose_fields_all_failed_is_told_from_one_that_is_not_there() {
        let query = "query { ticketByNumber(number: 1) { agent { key } requester { name } } }";
        let failed = completed(query, json!({ "ticketByNumber": null }), &[&["ticketByNumber", "agent"]]);
        assert_eq!(failed["data"], json!({ "ticketByNumber": { "agent": null, "requester": null } }));
        let absent = completed(query, json!({ "ticketByNumber": null }), &[]);
        assert_eq!(absent["data"], json!({ "ticketByNumber": null }));
    }

    #[test]
    fn a_null_that_the_schema_forbids_is_an_error_of_ours() {
        let done = completed("{ nodes(ids: []) { id } }", json!({ "nodes": null }), &[]);
        assert_eq!(done["data"], Value::Null);
        assert_eq!(done["errors"][0]["extensions"]["code"], code::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn what_never_began_has_no_data_to_complete() {
        let done = completed("{ desk { name } }", Value::Null, &[&[]]);
        assert_eq!(done["data"], Value::Null);
    }

    #[test]
    fn documents_are_kept_in_bounds_and_the_one_unused_for_longest_goes_first() {
        let documents = Documents::new();
        let query = |n: usize| format!("{{ __typename }} # {n} {}", " ".repeat(n * 16));
        for n in 0..KEPT_COUNT + 20 {
            assert!(prepare(&documents, &query(n)).is_ok());
            assert!(prepare(&documents, &query(0)).is_ok());
        }
        let kept = documents.kept.lock().unwrap();
        assert!(kept.documents.len() <= KEPT_COUNT && kept.bytes <= KEPT_BYTES);
        assert_eq!(kept.bytes, kept.documents.keys().map(|text| text.len()).sum::<usize>());
        assert!(kept.documents.contains_key(query(0).as_str()) && !kept.documents.contains_key(query(1).as_str()));
    }

    #[test]
    fn plans_of_one_document_are_told_apart_by_what_its_variables_decide() {
        let documents = Documents::new();
        let query =
            "query ($a: Boolean!, $n: Int) { desk @include(if: $a) { name } tickets(first: $n) { totalCount } }";
        let with = |variables: Value| {
            let Value::Object(variables) = variables else { panic!("variables are an object") };
            documents.prepare(query.to_owned(), None, variables).map(|fit| fit.shape.0).ok().unwrap()
        };
        let first = with(json!({ "a": true, "n": 1 }));
        assert!(Arc::ptr_eq(&first, &with(json!({ "a": true, "n": 2 }))));
        assert!(!Arc::ptr_eq(&first, &with(json!({ "a": false, "n": 1 }))));
        assert!(!Arc::ptr_eq(&first, &with(json!({ "a": true }))));
    }
}
