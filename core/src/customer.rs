//! A customer: who writes to the desk.

use crate::{
    event::family::event_family,
    personal::Personal,
    rejection::{Rejection, check_text},
};

event_family! {
    /// Everything that can happen to a customer.
    CustomerEvent {
        /// A customer became known.
        CustomerRegistered = 1 {
            /// Name, as people read it.
            name: Personal<String>,
            /// E-mail address, when known.
            email: Option<Personal<String>>,
            /// The customer's name in another system.
            external: Option<crate::ticket::ExternalReference>,
        }
    }
}

/// Judges the registration of a customer.
///
/// # Errors
/// When the name is blank or longer than 200 bytes, or the address has no `@`.
pub fn register(
    name: &str,
    email: Option<&str>,
    external: Option<crate::ticket::ExternalReference>,
) -> Result<CustomerEvent, Rejection> {
    check_text("name", name, 200)?;
    if let Some(email) = email {
        check_text("email", email, 254)?;
        let whole = email.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
        if !whole || email.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Rejection::Invalid { field: "email", reason: "not an e-mail address".into() });
        }
    }
    Ok(CustomerRegistered { name: name.into(), email: email.map(Personal::from), external }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_without_name_or_with_a_broken_address_is_refused() {
        assert_eq!(register("  ", None, None), Err(Rejection::Blank { field: "name" }));
        assert!(register("Ann", Some("ann.example"), None).is_err());
        assert!(register("Ann", Some("ann@example.org"), None).is_ok());
    }
}
