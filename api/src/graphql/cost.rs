//! What an operation costs: told to whoever asks, and with every refusal of one that costs too much.
//!
//! The library keeps what it counts to itself, but for extensions; and a schema with an extension answers more slowly. So a
//! second schema measures, which answers nothing.

use std::sync::{Arc, LazyLock};

use async_graphql::{
    Request, ServerError, ValidationResult, Value,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation},
};

use super::{DocketSchema, MAX_COMPLEXITY, MAX_DEPTH, build};

/// What an operation costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// A field counts 1, a connection as many times its selection as the page has elements.
    pub complexity: usize,
    /// Fields inside of each other.
    pub depth: usize,
}

impl Cost {
    /// The most that an operation may cost.
    pub const LIMIT: usize = MAX_COMPLEXITY;

    /// What is too much of it, in words.
    pub fn excess(self) -> String {
        if self.depth > MAX_DEPTH {
            return format!("the operation is nested {} deep, and {MAX_DEPTH} is the most", self.depth);
        }
        let over = self.complexity.saturating_sub(MAX_COMPLEXITY);
        format!(
            "the operation costs {}, which is {over} more than the limit of {MAX_COMPLEXITY}: ask for smaller pages or fewer \
             fields",
            self.complexity
        )
    }
}

/// What a valid request costs; none when it cannot be told.
pub async fn measure(request: Request) -> Option<Cost> {
    static MEASURING: LazyLock<DocketSchema> = LazyLock::new(|| build().extension(Measure).finish());
    let answer = MEASURING.execute(request).await;
    let told = answer.errors.first()?.extensions.as_ref()?;
    let number = |name: &str| match told.get(name) {
        Some(Value::Number(number)) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        _ => None,
    };
    Some(Cost { complexity: number("complexity")?, depth: number("depth")? })
}

struct Measure;

impl ExtensionFactory for Measure {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for Measure {
    /// Stops every request once it is counted.
    async fn validation(
        &self,
        context: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let counted = next.run(context).await?;
        let mut told = ServerError::new("measured", None);
        let extensions = told.extensions.get_or_insert_default();
        extensions.set("complexity", counted.complexity);
        extensions.set("depth", counted.depth);
        Err(vec![told])
    }
}
