//! The answer as the specification says (sections 6.4.3 CompleteValue and 6.4.4 Handling Field Errors): every selected key in
//! the order of the document, null where a field failed, and up to the next nullable place where null may not be.
//!
//! async-graphql leaves failed fields out, makes null of an object without fields, and inserts fields as they get ready.

use std::collections::HashMap;

use async_graphql::{Name, PathSegment, Response, ServerError, Value, indexmap::IndexMap};

use super::plan::{Fields, Form, Kind, MARK};
use crate::graphql::error;

/// Completes `data` in place. A response that never began to execute is left alone: it has no `data`.
pub fn complete(root: &Fields, response: &mut Response) {
    let began = response.errors.is_empty() || response.errors.iter().any(|error| !error.path.is_empty());
    if response.data == Value::Null {
        if !began {
            return;
        }
        response.data = Value::Object(IndexMap::new());
    }
    place_errors(root, response);
    let failed = Failures::of(&response.errors);
    let Value::Object(data) = &mut response.data else { return };
    if !fields(root, data, Some(&failed)) {
        response.data = Value::Null;
        if response.errors.is_empty() {
            // Where a resolver gave null against its type, nobody has said so yet.
            let error = error::internal().into_server_error(async_graphql::Pos::default());
            tracing::error!("a field that is never null was null");
            response.errors.push(ServerError { locations: Vec::new(), ..error });
        }
    }
}

/// An error without a path in an answer that has data is one of `__type`, for which async-graphql notes none: it belongs to
/// a root field that is missing and that no other error explains.
fn place_errors(root: &Fields, response: &mut Response) {
    let Value::Object(data) = &response.data else { return };
    if data.is_empty() || response.errors.iter().all(|error| !error.path.is_empty()) {
        return;
    }
    let explained = |name: &Name| {
        let mut paths = response.errors.iter().filter_map(|error| error.path.first());
        paths.any(|first| matches!(first, PathSegment::Field(field) if name == field.as_str()))
    };
    let missing = root.0.iter().map(|(name, _)| name).filter(|name| !data.contains_key(*name) && !explained(name));
    let missing: Vec<PathSegment> = missing.map(|name| PathSegment::Field(name.to_string())).collect();
    let nowhere = response.errors.iter_mut().filter(|error| error.path.is_empty());
    for (error, segment) in nowhere.zip(missing) {
        error.path.push(segment);
    }
}

/// The paths of the errors, as a tree.
#[derive(Default)]
struct Failures<'a> {
    below: HashMap<Segment<'a>, Failures<'a>>,
}

#[derive(PartialEq, Eq, Hash)]
enum Segment<'a> {
    Field(&'a str),
    Index(usize),
}

impl<'a> Failures<'a> {
    fn of(errors: &'a [ServerError]) -> Self {
        let mut root = Self::default();
        for error in errors {
            let mut at = &mut root;
            for segment in &error.path {
                let segment = match segment {
                    PathSegment::Field(name) => Segment::Field(name),
                    PathSegment::Index(index) => Segment::Index(*index),
                };
                at = at.below.entry(segment).or_default();
            }
        }
        root
    }

    fn at<'b>(failures: Option<&'b Self>, segment: &Segment<'b>) -> Option<&'b Self>
    where
        'a: 'b,
    {
        failures.filter(|failures| !failures.below.is_empty())?.below.get(segment)
    }
}

/// Completes an object's fields. False when one of them may not be null and is: then the object cannot be.
fn fields(planned: &Fields, object: &mut IndexMap<Name, Value>, failures: Option<&Failures<'_>>) -> bool {
    take_mark(object);
    let in_order = object.len() == planned.0.len() && object.keys().zip(&planned.0).all(|(key, (name, _))| key == name);
    if in_order {
        for (value, (name, form)) in object.values_mut().zip(&planned.0) {
            if !value_of(form, value, Failures::at(failures, &Segment::Field(name))) {
                return false;
            }
        }
        return true;
    }
    let mut given = std::mem::take(object);
    object.reserve(planned.0.len());
    for (name, form) in &planned.0 {
        let mut value = given.swap_remove(name).unwrap_or_default();
        if !value_of(form, &mut value, Failures::at(failures, &Segment::Field(name))) {
            return false;
        }
        object.insert(name.clone(), value);
    }
    true
}

/// Completes a value. False when it is null and may not be.
fn value_of(form: &Form, value: &mut Value, failures: Option<&Failures<'_>>) -> bool {
    // An object whose fields failed one and all came as null; what failed below it says that it was there.
    if *value == Value::Null
        && matches!(form.kind, Kind::Object(_))
        && failures.is_some_and(|failures| !failures.below.is_empty())
    {
        *value = Value::Object(IndexMap::new());
    }
    let whole = match (&form.kind, &mut *value) {
        (_, Value::Null) => return form.nullable,
        (Kind::Leaf, _) => true,
        (Kind::List(item), Value::List(items)) => items
            .iter_mut()
            .enumerate()
            .all(|(index, value)| value_of(item, value, Failures::at(failures, &Segment::Index(index)))),
        (Kind::Object(planned), Value::Object(object)) => fields(planned, object, failures),
        (Kind::Abstract(by_type), Value::Object(object)) => match take_mark(object).and_then(|ty| by_type.get(&*ty)) {
            Some(planned) => fields(planned, object, failures),
            None => true,
        },
        // Introspection gives some lists as null and some objects as they are; there is nothing to complete.
        (Kind::List(_) | Kind::Object(_) | Kind::Abstract(_), _) => true,
    };
    if whole {
        return true;
    }
    *value = Value::Null;
    form.nullable
}

/// Takes the hidden `__typename` out of an object.
fn take_mark(object: &mut IndexMap<Name, Value>) -> Option<String> {
    let last = object.last().is_some_and(|(key, _)| key == MARK);
    let mark = if last { object.pop().map(|(_, value)| value) } else { object.shift_remove(MARK) };
    let Some(Value::String(ty)) = mark else { return None };
    Some(ty)
}
