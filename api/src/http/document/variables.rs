//! Coercion of variables (specification, section 6.1.2): all of them, before anything runs.

use apollo_compiler::{
    ast::Type,
    executable::Operation,
    schema::{ExtendedType, InputObjectType},
};
use async_graphql::{Name, Number, ServerError, Value, Variables, indexmap::IndexMap};
use serde_json::Value as Json;

use super::{plan, rules::Rules};

/// The values of an operation's variables, defaults put in; what is not declared is left out.
pub fn coerce(
    rules: &Rules,
    operation: &Operation,
    mut values: serde_json::Map<String, Json>,
) -> Result<Variables, Vec<ServerError>> {
    let mut coerced = Variables::default();
    let mut errors = Vec::new();
    for variable in &operation.variables {
        let (name, ty) = (variable.name.as_str(), &*variable.ty);
        match (values.remove(name), &variable.default_value) {
            (Some(value), _) => {
                let mut coercion = Coercion { rules, path: Vec::new(), wrong: Vec::new() };
                let value = coercion.value(ty, value);
                errors.extend(coercion.wrong.into_iter().map(|why| {
                    let message = format!("variable ${name} of type {ty} has a value that does not fit: {why}");
                    ServerError::new(message, None)
                }));
                coerced.insert(Name::new(name), value);
            }
            (None, Some(default)) => {
                let default = plan::literal(default, &|_| None).and_then(|value| value.into_const());
                coerced.insert(Name::new(name), default.unwrap_or_default());
            }
            (None, None) if ty.is_non_null() => {
                let message = format!("variable ${name} of type {ty} has no value: send one in \"variables\"");
                errors.push(ServerError::new(message, None));
            }
            (None, None) => {}
        }
    }
    if errors.is_empty() { Ok(coerced) } else { Err(errors) }
}

struct Coercion<'a> {
    rules: &'a Rules,
    path: Vec<String>,
    wrong: Vec<String>,
}

impl Coercion<'_> {
    /// Notes what is wrong, and where in the value.
    fn refuse(&mut self, why: impl Into<String>) -> Value {
        let why = why.into();
        let why = if self.path.is_empty() { why } else { format!("at {}: {why}", self.path.join(".")) };
        self.wrong.push(why);
        Value::Null
    }

    fn value(&mut self, ty: &Type, value: Json) -> Value {
        if value.is_null() {
            return if ty.is_non_null() { self.refuse(format!("null is no {ty}")) } else { Value::Null };
        }
        if ty.is_list() {
            let Json::Array(items) = value else {
                // One value stands for a list of one (3.11).
                return Value::List(vec![self.value(ty.item_type(), value)]);
            };
            let items = items.into_iter().enumerate().map(|(index, item)| {
                self.path.push(index.to_string());
                let item = self.value(ty.item_type(), item);
                self.path.pop();
                item
            });
            return Value::List(items.collect());
        }
        let name = ty.inner_named_type().as_str();
        let rules = self.rules;
        match rules.schema.types.get(name) {
            Some(ExtendedType::InputObject(object)) => self.object(object, value),
            Some(ExtendedType::Enum(defined)) => {
                let known = value.as_str().filter(|text| defined.values.contains_key(*text));
                if let Some(text) = known {
                    return Value::Enum(Name::new(text));
                }
                let all: Vec<&str> = defined.values.keys().map(|value| value.as_str()).collect();
                self.refuse(format!("{name} is one of {}, as a string", all.join(", ")))
            }
            _ => self.scalar(name, value),
        }
    }

    fn object(&mut self, defined: &InputObjectType, value: Json) -> Value {
        let Json::Object(mut given) = value else {
            return self.refuse(format!("{} is an object", defined.name));
        };
        let mut fields = IndexMap::new();
        for (name, field) in &defined.fields {
            match given.remove(name.as_str()) {
                Some(value) => {
                    self.path.push(name.to_string());
                    let value = self.value(&field.ty, value);
                    self.path.pop();
                    fields.insert(Name::new(name.as_str()), value);
                }
                None if field.is_required() => {
                    self.refuse(format!("{}.{name} of type {} is missing", defined.name, field.ty));
                }
                // async-graphql puts the defaults in.
                None => {}
            }
        }
        if let Some(unknown) = given.keys().next() {
            let unknown: String = unknown.chars().take(100).collect();
            self.refuse(format!("{} has no field {unknown:?}", defined.name));
        }
        Value::Object(fields)
    }

    fn scalar(&mut self, name: &str, value: Json) -> Value {
        match (name, value) {
            ("String", Json::String(text)) | ("ID", Json::String(text)) => Value::String(text),
            ("Boolean", Json::Bool(value)) => Value::Boolean(value),
            ("Float", Json::Number(number)) => Value::Number(number),
            ("Int", Json::Number(number)) => match whole(&number).and_then(|whole| i32::try_from(whole).ok()) {
                Some(whole) => Value::Number(whole.into()),
                None => self.refuse("Int is a whole number from -2147483648 to 2147483647"),
            },
            ("ID", Json::Number(number)) if number.is_u64() || number.is_i64() => Value::String(number.to_string()),
            ("ID", Json::Number(number)) if whole(&number).is_some() => {
                Value::String(whole(&number).unwrap_or_default().to_string())
            }
            ("Int", _) => self.refuse("Int is a number without quotes"),
            ("Float", _) => self.refuse("Float is a number without quotes"),
            ("String", _) => self.refuse("String is a text in quotes"),
            ("Boolean", _) => self.refuse("Boolean is true or false, without quotes"),
            ("ID", _) => self.refuse("ID is a text or a whole number"),
            (_, value) => {
                let Ok(value) = Value::from_json(value) else { return self.refuse("it is no JSON value") };
                match Rules::wrong_scalar(name, value.clone()) {
                    Some(why) => self.refuse(why),
                    None => value,
                }
            }
        }
    }
}

/// A number without a fraction, also when it was written with one: `1.0` is a whole number to every client.
fn whole(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        // Beyond this a float does not tell one whole number from the next.
        (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).then_some(float as i64)
    })
}
